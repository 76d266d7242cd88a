"""Freezing: memory of a file stays as it is, whatever its arrays are written to.

::

                      before               frozen                   thawed
    at the address    shared, has pages    private, has no pages    shared, has pages
    elsewhere                              shared, has pages

The pages move, and are not copied: for 100 MB, that takes 0.1 ms instead of 10. What is
stored at the old address goes to private copies of single pages, and the file keeps
its values.

Each step replaces a mapping in one system call. If the old addresses were unmapped in
between, another thread that reads them would end the process by SIGSEGV.
"""

from __future__ import annotations

import ctypes
import mmap

from .c_library import c_function, raise_errno
from .memory import map_at, raw_mmap

# linux/mman.h; the same on every architecture.
_MREMAP_MAYMOVE = 1
_MREMAP_FIXED = 2
_MREMAP_DONTUNMAP = 4
_PROT_NONE = 0
_MAP_NORESERVE = 0x4000
# Whole page tables move at once if both addresses have the same place in theirs.
_PAGE_TABLE = 2 << 20

_address = ctypes.c_void_p
_size = ctypes.c_size_t
_mremap = c_function(
    "mremap", _address, _size, _size, ctypes.c_int, _address, restype=_address
)
_munmap = c_function("munmap", _address, _size)


def freeze(address: int, nbytes: int, fd: int, offset: int) -> int:
    """Let later stores go to private copies; return where the file's memory is now.

    Parameters
    ----------
    address, nbytes : int
        A shared mapping of whole pages, or a part of one.
    fd, offset : int
        The same file, and the position of that part.

    Returns
    -------
    int
        Another address of `nbytes`, for `thaw` or `release`.

    Raises
    ------
    NotImplementedError
        The C library has no mremap.
    OSError
        EINVAL: Linux before 5.13 does not know the flag; ENOMEM: no addresses are left.
    """
    elsewhere = _reserve(address, nbytes)
    try:
        _move(address, nbytes, elsewhere, _MREMAP_DONTUNMAP)
    except BaseException:
        release(elsewhere, nbytes)
        raise
    try:
        map_at(address, nbytes, mmap.MAP_PRIVATE, fd, offset=offset)
    except BaseException:
        thaw(address, nbytes, elsewhere)
        raise
    return elsewhere


def thaw(address: int, nbytes: int, elsewhere: int) -> None:
    """Undo `freeze`, and forget what was stored since."""
    _move(elsewhere, nbytes, address, 0)


def release(elsewhere: int, nbytes: int) -> None:
    """Keep the private memory only: unmap what `freeze` has returned."""
    if _munmap is not None and _munmap(elsewhere, nbytes) != 0:
        raise_errno()


def _reserve(address: int, nbytes: int) -> int:
    """Return unused addresses that end where they have to."""
    if raw_mmap is None or _mremap is None or _munmap is None:
        raise NotImplementedError("this platform's C library has no mremap")
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    found = raw_mmap(None, nbytes + _PAGE_TABLE, _PROT_NONE, flags, -1, 0)
    if found == ctypes.c_void_p(-1).value:
        raise_errno()
    # Only what is needed, and now: after `thaw`, other threads may map these addresses.
    before = (address - found) % _PAGE_TABLE
    if before:
        release(found, before)
    release(found + before + nbytes, _PAGE_TABLE - before)
    return found + before


def _move(address: int, nbytes: int, to: int, flags: int) -> None:
    if _mremap is None:
        raise NotImplementedError("this platform's C library has no mremap")
    flags |= _MREMAP_MAYMOVE | _MREMAP_FIXED
    if _mremap(address, nbytes, nbytes, flags, to) != to:
        raise_errno()
