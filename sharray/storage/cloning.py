"""Cloning: a new file that shares the blocks of another one.

XFS and btrfs clone a file in milliseconds, whatever its size. A store to either file
then needs a new block. Without one, the process that stores gets SIGBUS. So a clone
needs as much free space as a copy, although it does not take it.
"""

from __future__ import annotations

import errno
import os

from ..errors import StorageError
from ..names import quote
from ..system import file_systems, files


class NoClonesError(Exception):
    """The file system cannot clone this file."""


class Clone:
    """The contents of a file, for a new one.

    Parameters
    ----------
    fd : int
        The file, open for reading; the caller closes it.
    path : str
        Its path, for errors.

    Attributes
    ----------
    is_cut : bool
        True if the new file has all stores up to one moment, and none that are later.
    """

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path
        self.is_cut = False

    def into(self, target: int, nbytes: int) -> None:
        """Let an empty file have the first `nbytes` of this one.

        Raises
        ------
        NoClonesError
            Write a copy instead.
        OSError
            ENOSPC if later stores could lack room.
        StorageError
            The file was truncated.
        """
        if not files.clone_contents(self._fd, target):
            raise NoClonesError
        refuse_truncated(target, nbytes, self._path)
        # Not before: where there are no clones, a copy has its own look at the room.
        if file_systems.free_bytes(target) < nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(target, nbytes)
        self.is_cut = file_systems.clones_are_cuts(target)


def refuse_truncated(fd: int, nbytes: int, path: str) -> None:
    """Refuse a file, or a clone of it, that has become shorter than its array."""
    size = files.status(fd).st_size
    if size < nbytes:
        raise StorageError(
            f"{quote(path)} was truncated: expected {nbytes} bytes, got {size}; "
            "restore it from a backup",
            path,
        )
