"""Which file is which: what tells a file from an earlier one with its inode."""

from __future__ import annotations

import ctypes
import os
import struct

from .c_library import c_function

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
# struct statx, and a long. A type made at each call is garbage.
_Answer = ctypes.c_char * 256
_Version = ctypes.c_char * 8
# linux/stat.h: stx_mask, and tv_sec and tv_nsec of stx_btime.
_MASK = struct.Struct("I")
_BIRTH = struct.Struct("qI")
_BIRTH_OFFSET = 80
_IDENTITY = struct.Struct("<QQqI4x")
REST = 4  # bytes at the end of an identity that are zero
_FS_IOC_GETVERSION = 0x80087601  # linux/fs.h, where a long has 64 bits
_statx = c_function(
    "statx",
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_void_p,
)
# Not `fcntl.ioctl`: on a tmpfs, which has no generations, its error takes 5 us.
_ioctl = c_function("ioctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)


def identity_of(fd: int, status: os.stat_result) -> bytes | None:
    """Return 32 bytes that are equal for the same file only. The last four are zero.

    None where the file system knows neither when a file was made nor a generation of
    its inode: an inode comes back once its file was removed.
    """
    birth, generation = birth_of(fd)
    if not birth and not generation:
        return None
    return _IDENTITY.pack(status.st_dev, status.st_ino, birth, generation)


def without_rest(identity: bytes) -> bytes:
    """Return an identity without what a caller has put into its last bytes."""
    return identity[:-REST] + bytes(REST)


def is_of(identity: bytes, fd: int) -> bool:
    """Tell whether an identity is that of an open file."""
    status = os.fstat(fd)
    found = identity_of(fd, status)
    if found is None:  # the caller has made the identity from device, inode and more
        return _IDENTITY.unpack(identity)[:2] == (status.st_dev, status.st_ino)
    return found == without_rest(identity)


def inode_of(identity: bytes) -> int:
    """Return the inode in an identity."""
    return int(_IDENTITY.unpack(identity)[1])


def birth_of(fd: int) -> tuple[int, int]:
    """Return the birth time of an open file in ns, and the generation of its inode.

    See statx(2) and ioctl_iflags(2). Each is 0 where the file system does not know it.
    The clock of birth times ticks every few milliseconds, so that two files in a row
    may have the same one. Generations are random, but tmpfs has none.
    """
    return _birth_time(fd), _generation(fd)


def _birth_time(fd: int) -> int:
    if _statx is None:
        return 0
    answer = _Answer()
    if _statx(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, answer) != 0:
        return 0
    if not _MASK.unpack_from(answer)[0] & _STATX_BTIME:
        return 0
    seconds, nanoseconds = _BIRTH.unpack_from(answer, _BIRTH_OFFSET)
    return int(seconds * 10**9 + nanoseconds)


def _generation(fd: int) -> int:
    answer = _Version()
    if _ioctl is None or _ioctl(fd, _FS_IOC_GETVERSION, answer) != 0:
        return 0
    return int.from_bytes(answer.raw[:4], "little")
