"""Cloning: a new file that shares the blocks of another one.

XFS and btrfs clone a file in milliseconds, whatever its size. A store to either file
then needs a new block. Without one, the process that stores gets SIGBUS. So a clone
needs as much free space as a copy, and some more, although it does not take it. The
system needs the rest to keep track of blocks: XFS reserves up to 1/251 of a range that
is stored to, and blocks of its own for each small range.

The state of stores to the first file::

    need no room --clone--> need room --close or unlink the clone--> need room
         ^                      |                                        |
         |                      | ftruncate the clone                    | later
         +----------------------+----------------------------------------+

XFS frees a file without a name when it has time, and neither sync(2) nor statvfs(2)
waits for that. So a clone is cut to nothing before it is closed. Otherwise a refused
clone would let stores fail for a while. For the same reason nothing is cloned if there
is too little room already.
"""

from __future__ import annotations

import errno
import os

from ..errors import StorageError
from ..names import quote
from ..system import file_systems, files

# Bytes; XFS had too little with none, and enough with 64 KiB.
_TRACKING = 1 << 20


class NoClonesError(Exception):
    """The file system cannot clone this file, or has room only for a copy."""


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
        _check_room(target, nbytes)
        try:
            self._clone(target, nbytes)
        except BaseException:
            os.ftruncate(target, 0)  # before it is closed, see the module
            raise
        self.is_cut = file_systems.clones_are_cuts(target)

    def _clone(self, target: int, nbytes: int) -> None:
        if not files.clone_contents(self._fd, target):
            raise NoClonesError
        refuse_truncated(target, nbytes, self._path)
        _check_room(target, nbytes)  # others may have used it up meanwhile
        os.ftruncate(target, nbytes)


def _check_room(target: int, nbytes: int) -> None:
    """Refuse a clone if later stores could lack room."""
    free = file_systems.free_bytes(target)
    if free < nbytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if free < nbytes + nbytes // 64 + _TRACKING:
        raise NoClonesError


def refuse_truncated(fd: int, nbytes: int, path: str) -> None:
    """Refuse a file, or a clone of it, that has become shorter than its array."""
    size = files.status(fd).st_size
    if size < nbytes:
        raise StorageError(
            f"{quote(path)} was truncated: expected {nbytes} bytes, got {size}; "
            "restore it from a backup",
            path,
        )
