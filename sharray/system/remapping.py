"""Remapping: replace the mapping of a file by another one, at the same addresses."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterable

from .c_library import raise_errno
from .memory import keeps_descriptors, map_at, raw_mmap

_PROT_NONE = 0
_MAP_FIXED = 0x10  # asm-generic/mman-common.h; the same on every Linux

# Numbers of descriptors by st_dev and st_ino of their file.
Descriptors = dict[tuple[int, int], list[int]]


def make_private(address: int, nbytes: int, fd: int) -> None:
    """Turn a shared mapping of a file into a private one, in place.

    Addresses and values stay the same. Other processes do not see later stores. A
    child forked later sees the values at the fork.

    Parameters
    ----------
    address, nbytes : int
        The mapping, made by `map_file` with writable=True, private=False.
    fd : int
        The same file; the mapping keeps its locks.
    """
    map_at(address, nbytes, mmap.MAP_PRIVATE, fd)


def map_over(address: int, nbytes: int, fd: int, *, writable: bool = True) -> None:
    """Replace a mapping by a mapping of `fd`, at the same addresses.

    This is a no-op where the call is missing.

    Parameters
    ----------
    address, nbytes : int
        The mapping, made by `map_file` or `map_beyond` with private=False.
    fd : int
        The same file; the mapping keeps its locks.
    writable : bool, default True
        As for the old mapping.
    """
    if raw_mmap is not None:
        map_at(address, nbytes, mmap.MAP_SHARED, fd, writable=writable)


def is_possible() -> bool:
    """Return whether this platform can replace a mapping at its address."""
    return raw_mmap is not None


def map_nothing(address: int, nbytes: int) -> None:
    """Replace a part of a mapping by addresses that cannot be read.

    If no other part was mapped by the same open file, this ends its locks.
    """
    if raw_mmap is None:
        raise NotImplementedError("this platform's C library has no mmap")
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
    if raw_mmap(address, nbytes, _PROT_NONE, flags, -1, 0) != address:
        raise_errno()


def descriptors_of_mappings() -> Descriptors:
    """Return this process's descriptors by file, if `mmap` objects keep any.

    Call it once before `replace_mapping` of many mappings: listing the descriptors for
    each mapping would take quadratic time.
    """
    found: Descriptors = {}
    if not keeps_descriptors() or not os.path.isdir("/proc/self/fd"):
        return found
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor of `listdir` is closed
            status = os.fstat(int(name))
            key = status.st_dev, status.st_ino
            found.setdefault(key, []).append(int(name))
    return found


def replace_mapping(
    address: int,
    nbytes: int,
    old: tuple[int, int],
    fd: int,
    kept: Iterable[int],
    *,
    writable: bool = True,
) -> None:
    """Replace a mapping by a mapping of `fd`, and release the old one's lock.

    Addresses and values stay the same. This is for the end of a process, when arrays
    still exist.

    Parameters
    ----------
    address, nbytes : int
        The mapping, made by `map_file` or `map_beyond` with private=False.
    old : (int, int)
        st_dev and st_ino of the file.
    fd : int
        The same file, opened again and not locked.
    kept : iterable of int
        The file's descriptors, from `descriptors_of_mappings`.
    writable : bool, default True
        As for the old mapping.
    """
    map_over(address, nbytes, fd, writable=writable)
    # A mmap object may keep a descriptor, and with it the lock: see `memory.map_file`.
    # `dup2` replaces the descriptor. If it were closed, the number could get another
    # owner, and the mmap object would close that one later.
    for number in kept:
        with contextlib.suppress(OSError):
            found = os.fstat(number)
            # Another thread may have reused the number for another file since.
            if (found.st_dev, found.st_ino) == old:
                os.dup2(fd, number, inheritable=False)
