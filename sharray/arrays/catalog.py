"""Functions on this user's arrays: list, inspect and remove them, and clear faults."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import (
    ArrayNotFoundError,
    NotSharedError,
    SharrayError,
    explain,
)
from ..names import ANONYMOUS, SCHEME, is_in_ram
from ..storage import control_page, ending, kept, location
from ..storage.attaching import attach, explain_open, read_layout
from ..storage.identity import identity_of
from ..storage.location import Location
from ..storage.messages.returning import Returning
from ..storage.naming import UNFINISHED
from ..system import files, finalizing, interrupts
from .core import AnyArray, SharedArray
from .named import Path
from .root import find_root

if TYPE_CHECKING:
    from ..storage.inspection.result import Inspection, Inspections


def list(place: Path = "shm://") -> Inspections:
    """List the arrays that other processes can open, with their holders.

    Parameters
    ----------
    place : str or PathLike, default "shm://"
        A directory, for its ``.npy`` files, or ``shm://``, for this user's arrays in
        RAM. Among these are anonymous arrays that were sent to another process; their
        names begin with ``shm://.anonymous/``. ``shm://run7`` lists the arrays whose
        names begin with ``shm://run7/``.

    Returns
    -------
    list of Inspection
        Sorted by name, without files that are not arrays. A terminal shows a line for
        each array, and a notebook a table.

    Raises
    ------
    ArrayNotFoundError, AccessError
        The directory does not exist, or cannot be read.
    StorageError
        This process has too few file descriptors or too little memory left to inspect
        the arrays.

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
    if text.startswith(SCHEME):
        paths = _paths_in_ram(text)
    else:
        directory = os.path.abspath(text)
        names = _names_in(directory)
        paths = [os.path.join(directory, name) for name in names if _is_npy(name)]
    return inspect_files(Location(path, is_in_ram(path)) for path in paths)


def _names_in(directory: str) -> builtins.list[str]:
    try:
        return os.listdir(directory)
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise ArrayNotFoundError(
                f"expected a directory or shm://, got {directory!r}, which is not a "
                "directory; name one, or call sharray.inspect() on a single file",
                directory,
            ) from error
        raise explain(error, "list the arrays in", directory) from error


def _is_npy(name: str) -> bool:
    return name.endswith(".npy") and not _is_unfinished(name)


def _is_unfinished(name: str) -> bool:
    return name.startswith(".") and name.endswith(UNFINISHED)


def _paths_in_ram(name: str) -> builtins.list[str]:
    # `locate` refuses names that lead out of this user's directory.
    below = name.removeprefix(SCHEME).rstrip("/")
    if below in ("", ANONYMOUS):
        top = os.path.join(location.ram_directory(), below)
    else:
        top = location.locate(SCHEME + below).path
    return [
        os.path.join(directory, name)
        for directory, _, names in os.walk(top)
        for name in names
        if not _is_unfinished(name)
    ]


def inspect(array: AnyArray | Path, /) -> Inspection:
    """Return facts about an array's file, its holders, and its pages in memory.

    The call neither reads the data nor holds the array.

    Parameters
    ----------
    array : SharedArray, str or PathLike
        An array, the path of a ``.npy`` file, or ``shm://name``. For a view, the whole
        file is inspected.

    Returns
    -------
    Inspection
        Its attributes are described there. A terminal shows a line, and a notebook a
        card; ``_asdict()`` returns all facts.

    Raises
    ------
    NotSharedError
        The array is a private copy, which has no file.
    ArrayNotFoundError, AccessError, FormatError, StorageError
        The file cannot be inspected.

    Notes
    -----
    Mappings come from ``/proc/PID/maps``, pages in memory from mincore(2), and dirty
    pages from ``/proc/self/smaps``.

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
    # Imported here because it takes 3 ms and few programs need it.
    from ..storage.inspection.inspector import inspect_file, inspect_segment

    if not isinstance(array, SharedArray):
        return inspect_file(location.locate(array))
    root = array._root
    if root is None or not array.is_shared:
        raise NotSharedError(
            "cannot inspect an array that is not shared: it is a private copy (as from "
            "a[[1, 2]] or numpy.zeros_like) and has no file; call sharray.inspect() "
            "on the shared array that it was made from"
        )
    return inspect_segment(root.segment, root.address)


def inspect_all(paths: Iterable[Path]) -> builtins.list[Inspection | SharrayError]:
    """Inspect many files at once; return an `Inspection` or an error for each.

    Calling `inspect` for each file would read /proc once per file.
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


def unlink(path: Path, *, missing_ok: bool = False) -> None:
    """Remove an array's name; processes that have it mapped keep the array.

    In this process, the array then has no name: it is not durable, and flushing it is
    a no-op. In other processes, which may not know, flushing it raises
    `ArrayGoneError`.

    Parameters
    ----------
    path : str or PathLike
        A ``.npy`` file, or ``shm://name``.
    missing_ok : bool, default False
        Return if there is no such file, as `pathlib.Path.unlink` does.

    Raises
    ------
    ArrayNotFoundError
        There is no such file.
    FormatError
        The file is not an array. It is left alone.
    AccessError, StorageError
        The file cannot be removed.

    Examples
    --------
    >>> import sharray as sh
    >>> a = sh.create("old.npy", 3)
    >>> sh.unlink("old.npy")
    >>> a.tolist()
    [0.0, 0.0, 0.0]
    >>> sh.unlink("old.npy", missing_ok=True)
    """
    place = location.locate(path)
    with interrupts.deferred():
        try:
            _unlink(place)
        except ArrayNotFoundError:
            if not missing_ok or os.path.islink(place.path):
                raise


def _unlink(place: Location) -> None:
    try:
        fd = files.open_existing(place.path, writable=False, follow=not place.in_ram)
        try:
            status = files.status(fd)
            layout = read_layout(fd, status.st_size, place)
            identity = identity_of(fd, status, *layout)
            interrupts.check()  # the last chance to stop
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
    """Mark this process's arrays of a file: it was removed on purpose."""
    for mode in ("r+", "r"):
        root = find_root(identity, mode)
        if root is not None:
            root.segment.unlinked = True


def gc(*, dry_run: bool = False) -> builtins.list[str]:
    """Remove anonymous arrays that no process holds any more.

    Such arrays remain if all processes that shared them were killed. Each process also
    removes them when it starts to use arrays in RAM. Named arrays are never removed.
    Unfinished files that killed processes left behind are. The memory that this process
    keeps for its next message is freed, too, and files that it keeps mapped for the
    next handle are unmapped.

    Parameters
    ----------
    dry_run : bool, default False
        Remove nothing; only return the files that would be removed.

    Returns
    -------
    list of str
        Paths of the files that were removed, or would be.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.gc()
    []
    """
    if not dry_run:
        Returning.trim()
        Returning.drop_orphans()
        kept.clear()
    anonymous = ending.sweep(location.anonymous_directory(), dry_run=dry_run)
    unused = control_page.sweep(dry_run=dry_run)
    return anonymous + unused + ending.sweep_unfinished(dry_run=dry_run)


def clear_fault(path: Path) -> None:
    """Clear the error of a failed flush, so that this array can be flushed again.

    Data that failed to reach the disk may be lost, although memory still shows it. So
    first write the data again, or save it elsewhere.

    Parameters
    ----------
    path : str or PathLike
        A ``.npy`` file, or ``shm://name``.

    Examples
    --------
    >>> import sharray as sh
    >>> a = sh.create("log.npy", 3)
    >>> sh.clear_fault("log.npy")
    """
    place = location.locate(path)
    with interrupts.deferred():
        segment = attach(place, "r+")
        segment.set_fault(0)
        segment.release()
