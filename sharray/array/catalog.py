"""Arrays by name: what there is, removing it, and forgetting faults."""

from __future__ import annotations

import builtins
import os
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArrayNotFoundError, FormatError, SharrayError, explain
from ..storage import ending, inbox, location, outbox
from ..storage.attaching import attach, read_layout
from ..storage.making import UNFINISHED
from ..system import files, locks
from .named import Path


class ArrayInfo(NamedTuple):
    """What `sharray.list` tells of one array in RAM."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    nbytes: int
    in_use: bool


def list() -> builtins.list[ArrayInfo]:
    """List this user's arrays in RAM that other processes can find.

    That is those with a name, and, under ``shm://.anonymous/``, the anonymous ones
    that have been sent to another process.

    Returns
    -------
    list of ArrayInfo
        name, shape, dtype, nbytes, and whether a process has it mapped; by name.

    Examples
    --------
    >>> import sharray as sh
    >>> a = sh.create("shm://run7/velocity", 100)
    >>> [(info.name, info.shape) for info in sh.list()]
    [('shm://run7/velocity', (100,))]
    >>> sh.unlink("shm://run7/velocity")
    """
    found = []
    for directory, _, names in os.walk(location.ram_directory()):
        for name in names:
            path = os.path.join(directory, name)
            try:
                if not name.endswith(UNFINISHED) or not name.startswith("."):
                    found.append(_inspect(path))
            except (OSError, FormatError):
                continue  # it went away meanwhile, or is no array
    return sorted(found)


def _inspect(path: str) -> ArrayInfo:
    fd = files.open_existing(path, writable=False, follow=False)
    try:
        header, _ = read_layout(fd, files.status(fd).st_size, path)
        return ArrayInfo(
            location.display_name(path),
            header.shape,
            header.dtype,
            header.nbytes,
            not locks.lock_exclusive(fd),
        )
    finally:
        files.close(fd)


def unlink(path: Path) -> None:
    """Remove an array's name; processes that have it mapped keep it.

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
    name = location.display_name(place.path)
    try:
        fd = files.open_existing(place.path, writable=False, follow=not place.in_ram)
        try:
            read_layout(fd, files.status(fd).st_size, place.path)
        finally:
            files.close(fd)
        files.unlink(place.path)
    except FileNotFoundError as error:
        raise ArrayNotFoundError(
            f"there is no array {name!r}; check the name", place.path
        ) from error
    except OSError as error:
        if isinstance(error, SharrayError):
            raise
        raise explain(error, "remove the array", place.path) from error
    if place.in_ram:
        location.tidy_ram_directories(os.path.dirname(place.path))


def gc() -> builtins.list[str]:
    """Remove anonymous arrays that nobody holds any more.

    They are what is left when all processes that shared one were killed. It
    happens by itself whenever a process starts to use arrays in RAM. Arrays with a
    name are never removed, only what a killed process had not finished. Memory that
    this process keeps for the next message goes back, too.

    Returns
    -------
    list of str
        The files that were removed.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.gc()
    []
    """
    outbox.trim()
    inbox.drop_orphans()
    return ending.sweep(location.anonymous_directory()) + ending.sweep_unfinished()


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
    segment = attach(place, "r+")
    if segment.trailer is None:
        raise FormatError(
            f"{place.path!r} has no trailer, so no fault is kept in it (another "
            "program wrote it); open it anew instead",
            place.path,
        )
    segment.set_fault(0)
