"""File systems: how much room there is, and whether files survive a power cut."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

from .c_library import c_function
from .optional import is_unsupported

_fstatfs = c_function("fstatfs", ctypes.c_int, ctypes.c_void_p)
# statfs(2): file systems whose files live in memory.
_VOLATILE_MAGIC = {0x01021994: "tmpfs", 0x858458F6: "ramfs", 0x958458F6: "hugetlbfs"}
_volatile_by_device: dict[int, bool] = {}


def free_bytes(directory: str) -> int:
    """Return how much this user may still write in `directory`'s file system.

    Where the file system does not tell, or has no limit, that is `sys.maxsize`.
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
    """Return how large files of this process may become: RLIMIT_FSIZE, getrlimit(2)."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def free_inodes(directory: str) -> int | None:
    """Return how many files may still be made there; None for no limit, or unknown."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    if found.f_files == 0:
        return None
    return found.f_ffree if os.geteuid() == 0 else found.f_favail


def is_volatile(fd: int, device: int, *, is_known: bool = False) -> bool:
    """Whether the file lives in memory only.

    Parameters
    ----------
    fd : int
        The open file.
    device : int
        Its st_dev.
    is_known : bool, default False
        Whether the last answer for this device may be trusted, as in our own RAM
        directory. Elsewhere, a disk may have got the number of a RAM disk that was
        unmounted, and its files would never be flushed.
    """
    known = _volatile_by_device.get(device)
    if known is None or (known and not is_known):
        known = _volatile_by_device[device] = _file_system_type(fd) in _VOLATILE_MAGIC
    return known


def _file_system_type(fd: int) -> int:
    """f_type of fstatfs(2), its first field; 0 where there is no such call."""
    if _fstatfs is None:
        return 0
    answer = (ctypes.c_long * 64)()
    if _fstatfs(fd, answer) != 0:
        return 0
    return int(answer[0]) & 0xFFFFFFFF
