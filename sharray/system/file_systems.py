"""File systems: free space, limits, and whether files live in memory only."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

from .c_library import c_function
from .optional import is_unsupported

_Answer = ctypes.c_long * 64  # longer than struct statfs
_fstatfs = c_function("fstatfs", ctypes.c_int, ctypes.c_void_p)
# statfs(2): file systems whose files live in memory.
_VOLATILE_MAGIC = {0x01021994: "tmpfs", 0x858458F6: "ramfs", 0x958458F6: "hugetlbfs"}
# Those whose clones are a cut: they hold back stores while they clone.
_CUTTING_MAGIC = {0x58465342: "xfs", 0x9123683E: "btrfs"}
_volatile_by_device: dict[int, bool] = {}


def free_bytes(directory: str | int) -> int:
    """Return the bytes that this user may still write in a file system.

    `directory` is in it, or is the descriptor of a file there.

    Return `sys.maxsize` if the file system has no limit or does not report one.
    """
    try:
        found = os.statvfs(directory)
    except OSError as error:
        if is_unsupported(error):
            return sys.maxsize
        raise
    if found.f_blocks == 0:  # many FUSE file systems, and a tmpfs made with size=0
        return sys.maxsize
    blocks = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    return blocks * found.f_frsize


def size_limit() -> int:
    """Return the largest size of a file of this process: getrlimit(2), RLIMIT_FSIZE."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def free_inodes(directory: str) -> int | None:
    """Return how many files can still be created; None if unlimited or unknown."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    if found.f_files == 0:
        return None
    return found.f_ffree if os.geteuid() == 0 else found.f_favail


def is_volatile(fd: int, device: int, *, is_known: bool = False) -> bool:
    """Return whether the file lives in memory only.

    Parameters
    ----------
    fd : int
        The open file.
    device : int
        Its st_dev.
    is_known : bool, default False
        Whether the last answer for this device may be trusted, as in the library's
        own RAM directory. Elsewhere, a disk may have got the number of an unmounted
        RAM disk. Its files would never be flushed.
    """
    known = _volatile_by_device.get(device)
    if known is None or (known and not is_known):
        known = _volatile_by_device[device] = _file_system_type(fd) in _VOLATILE_MAGIC
    return known


def clones_are_cuts(fd: int) -> bool:
    """Return whether a clone of a file has all stores up to a moment, and no later."""
    return _file_system_type(fd) in _CUTTING_MAGIC


def _file_system_type(fd: int) -> int:
    """Return f_type, the first field of fstatfs(2); 0 where the call is missing."""
    if _fstatfs is None:
        return 0
    answer = _Answer()
    if _fstatfs(fd, answer) != 0:
        return 0
    return int(answer[0]) & 0xFFFFFFFF
