"""The arrays of this user: list, inspect and remove them, and forget faults."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import (
    ArrayNotFoundError,
    FormatError,
    NotSharedError,
    SharrayError,
    explain,
)
from ..storage import location
from ..storage.attaching import attach, explain_open, read_layout
from ..storage.lifetime import ending
from ..storage.location import Location
from ..storage.messages import inbox, outbox
from ..storage.naming import UNFINISHED
from ..storage.segment import identity_of
from ..system import files, finalizing, interrupts
from .core import AnyArray, SharedArray
from .named import Path
from .root import find_root

if TYPE_CHECKING:
    from ..storage.inspection.result import Inspection


def list(place: Path = "shm://") -> builtins.list[Inspection]:
    """List the arrays that other processes can find, and who holds them.

    Parameters
    ----------
    place : str or PathLike, default "shm://"
        A directory, whose ``.npy`` files are listed, or ``shm://`` for this user's
        arrays in RAM: those with a name, and, under ``shm://.anonymous/``, the
        anonymous ones that have been sent to another process. ``shm://run7`` lists
        those below.

    Returns
    -------
    list of Inspection
        By name; files that are no arrays are left out.

    Raises
    ------
    ArrayNotFoundError, AccessError
        The directory does not exist, or cannot be read.
    StorageError
        This process has no descriptor or memory left to look at the arrays.

    Examples
    --------
    >>> import sharray as sh
    >>> a = sh.create("shm://run7/velocity", 100)
    >>> [(found.name, found.shape, found.in_use) for found in sh.list()]
    [('shm://run7/velocity', (100,), True)]
    >>> sh.unlink("shm://run7/velocity")
    """
    from ..storage.inspection.inspector import inspect_files

    finalizing.act_for_the_dead()
    text = os.fspath(place)
    if text.startswith(location.SCHEME):
        paths = _paths_in_ram(text)
    else:
        directory = os.path.abspath(text)
        names = _names_in(directory)
        paths = [os.path.join(directory, name) for name in names if _is_npy(name)]
    found = inspect_files(Location(path, location.is_in_ram(path)) for path in paths)
    return sorted(found, key=lambda inspection: inspection.name)


def _names_in(directory: str) -> builtins.list[str]:
    try:
        return os.listdir(directory)
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise ArrayNotFoundError(
                f"expected a directory or shm://, found {directory!r}, which is none; "
                "name a directory, or inspect() a single file",
                directory,
            ) from error
        raise explain(error, "list the arrays in", directory) from error


def _is_npy(name: str) -> bool:
    return name.endswith(".npy") and not _is_unfinished(name)


def _is_unfinished(name: str) -> bool:
    return name.startswith(".") and name.endswith(UNFINISHED)


def _paths_in_ram(name: str) -> builtins.list[str]:
    # The name of a directory, too, must not lead out of ours.
    below = name.removeprefix(location.SCHEME).rstrip("/")
    if below in ("", location.ANONYMOUS):
        top = os.path.join(location.ram_directory(), below)
    else:
        top = location.locate(location.SCHEME + below).path
    return [
        os.path.join(directory, name)
        for directory, _, names in os.walk(top)
        for name in names
        if not _is_unfinished(name)
    ]


def inspect(array: AnyArray | Path, /) -> Inspection:
    """Tell what the file of an array is, who holds it, and what of it is in memory.

    Looking neither reads the data nor holds the array.

    Parameters
    ----------
    array : SharedArray, str or PathLike
        An array, of which the whole file is inspected also if it is a view; or the
        path of a ``.npy`` file, or ``shm://name``.

    Returns
    -------
    Inspection
        See there.

    Raises
    ------
    NotSharedError
        The array is a private copy, which has no file.
    ArrayNotFoundError, AccessError, FormatError, StorageError
        The file cannot be inspected.

    Notes
    -----
    Mappings are told by ``/proc/PID/maps``, pages in memory by mincore(2), dirty ones
    by ``/proc/self/smaps``.

    Examples
    --------
    >>> import os
    >>> import sharray as sh
    >>> a = sh.create("field.npy", (500, 1000))
    >>> a[:] = 1
    >>> found = sh.inspect(a)
    >>> found.shape, found.durable, found.fault
    ((500, 1000), True, None)
    >>> [holder.pid == os.getpid() for holder in found.holders]
    [True]
    >>> a.flush()
    >>> sh.inspect("field.npy").dirty
    0
    """
    # Here, since it takes 3 ms and few programs need it.
    from ..storage.inspection.inspector import inspect_file, inspect_segment

    if not isinstance(array, SharedArray):
        return inspect_file(location.locate(array))
    root = array._root
    if root is None or not array.is_shared:
        raise NotSharedError(
            "cannot inspect an array that is not shared: it is a copy (as by "
            "a[[1, 2]] or numpy.zeros_like), which has no file; inspect the array "
            "that it was made from"
        )
    return inspect_segment(root.segment, root.address)


def inspect_all(paths: Iterable[Path]) -> builtins.list[Inspection | SharrayError]:
    """Inspect many files at once: what each is, or why it cannot be told.

    To `inspect` one after the other would read /proc for each of them.
    """
    from ..storage.inspection.inspector import inspect_each

    places = [_locate(path) for path in paths]
    found = iter(inspect_each(one for one in places if isinstance(one, Location)))
    return [next(found) if isinstance(one, Location) else one for one in places]


def _locate(path: Path) -> Location | SharrayError:
    try:
        return location.locate(path)
    except SharrayError as error:
        return error


def unlink(path: Path) -> None:
    """Remove an array's name; processes that have it mapped keep it.

    For this process it is then an array without a name: not durable, and to flush it
    is a no-op. Other processes, which may not know, get an `ArrayGoneError` when they
    flush it.

    Parameters
    ----------
    path : str or PathLike
        A ``.npy`` file, or ``shm://name``.

    Raises
    ------
    ArrayNotFoundError
        There is no such file.
    FormatError
        It is no array file, and is left alone.
    AccessError, StorageError
        It cannot be removed.

    Examples
    --------
    >>> import sharray as sh
    >>> a = sh.create("old.npy", 3)
    >>> sh.unlink("old.npy")
    >>> a.tolist()
    [0.0, 0.0, 0.0]
    """
    place = location.locate(path)
    with interrupts.deferred():
        _unlink(place)


def _unlink(place: Location) -> None:
    try:
        fd = files.open_existing(place.path, writable=False, follow=not place.in_ram)
        try:
            status = files.status(fd)
            identity = identity_of(status, *read_layout(fd, status.st_size, place.path))
            interrupts.check()  # from here on it has happened
            files.unlink(place.path)
            if files.status(fd).st_nlink == 0:
                _note_unlinked(identity)
        finally:
            files.close(fd)
    except FileNotFoundError as error:
        raise explain_open(error, place.path) from error
    except OSError as error:
        if isinstance(error, SharrayError):
            raise
        raise explain(error, "remove the array", place.path) from error
    if place.in_ram:
        location.tidy_ram_directories(os.path.dirname(place.path))


def _note_unlinked(identity: bytes) -> None:
    """Tell the arrays of this process that their file was removed on purpose."""
    for mode in ("r+", "r"):
        root = find_root(identity, mode)
        if root is not None:
            root.segment.unlinked = True


def gc(*, dry_run: bool = False) -> builtins.list[str]:
    """Remove anonymous arrays that nobody holds any more.

    They are what is left when all processes that shared one were killed. It
    happens by itself whenever a process starts to use arrays in RAM. Arrays with a
    name are never removed, only what a killed process had not finished. Memory that
    this process keeps for the next message goes back, too.

    Parameters
    ----------
    dry_run : bool, default False
        Only tell what would be removed.

    Returns
    -------
    list of str
        The files that were removed, or would have been.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.gc()
    []
    """
    if not dry_run:
        outbox.trim()
        inbox.drop_orphans()
    anonymous = ending.sweep(location.anonymous_directory(), dry_run=dry_run)
    return anonymous + ending.sweep_unfinished(dry_run=dry_run)


def clear_fault(path: Path) -> None:
    """Forget that a flush of this array failed, so that it can be flushed again.

    What failed to reach the disk may be lost although memory still shows it:
    write the data anew first, or save it elsewhere.

    Parameters
    ----------
    path : str or PathLike
        A file made by this library, or ``shm://name``.

    Examples
    --------
    >>> import sharray as sh
    >>> a = sh.create("log.npy", 3)
    >>> sh.clear_fault("log.npy")
    """
    place = location.locate(path)
    with interrupts.deferred():
        segment = attach(place, "r+")
    if segment.trailer is None:
        raise FormatError(
            f"{place.path!r} has no trailer, so no fault is kept in it (another "
            "program wrote it); open it anew instead",
            place.path,
        )
    segment.set_fault(0)
