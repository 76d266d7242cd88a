"""Memory: mmap, msync, memfd_create and related calls."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import sys
from collections.abc import Iterator

from . import buffers, files, standard_io
from .c_library import c_function, raise_errno

PAGE_SIZE = mmap.PAGESIZE

_MS_SYNC = 4  # asm-generic/mman-common.h; the same on every Linux
_MAP_FIXED = 0x10
_MAP_NORESERVE = 0x4000
_SYNC_FILE_RANGE_WRITE = 2
# Since Python 3.13, the module mmap can map a file without keeping a descriptor.
_UNTRACKED = {"trackfd": False} if sys.version_info >= (3, 13) else {}
_keeps_descriptors = False  # some mapping does

_size = ctypes.c_size_t
_address = ctypes.c_void_p
_byte = ctypes.c_char
_madvise = c_function("madvise", _address, _size, ctypes.c_int)
_msync = c_function("msync", _address, _size, ctypes.c_int)
# mmap(2), for flags that mmap.mmap does not offer; None if it is missing.
raw_mmap = c_function(
    "mmap",
    _address,
    _size,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
    restype=_address,
)
_sync_file_range = c_function(
    "sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint
)


def map_file(
    fd: int, nbytes: int, *, writable: bool, private: bool, one_of_few: bool = False
) -> mmap.mmap:
    """Map a whole file; the mapping keeps the file's locks after `fd` is closed.

    The mapping keeps no descriptor, so that their limit is none on arrays. Up to Python
    3.12, it keeps one if it is `one_of_few`, or if a limit on memory or a missing call
    allows no other way: see `keeps_descriptors`.

    Parameters
    ----------
    fd : int
        An open file of at least `nbytes`.
    writable : bool
        Whether stores are allowed (PROT_WRITE).
    private : bool
        Whether stores stay in this process (MAP_PRIVATE, copy on write).
    one_of_few : bool, default False
        Whether the mapping may keep a descriptor up to Python 3.12, which takes 3 us
        less.

    Raises
    ------
    OSError
        ENOMEM; ENODATA if the file has become shorter than `nbytes`.
    """
    if _UNTRACKED or raw_mmap is None or one_of_few:
        return _map_tracked(fd, nbytes, writable=writable, private=private)
    if os.fstat(fd).st_size < nbytes:
        raise OSError(errno.ENODATA, "it was truncated meanwhile")
    try:
        found = _map_nothing(nbytes, nbytes, writable=writable)
    except OSError:
        # Addresses without memory count as memory to come where it is not
        # overcommitted, and for RLIMIT_DATA. Those of a shared file do not.
        return _map_tracked(fd, nbytes, writable=writable, private=private)
    flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    _replace_nothing(found, fd, flags, writable=writable)
    return found


def keeps_descriptors() -> bool:
    """Return whether a mapping of this process may keep a descriptor of its file."""
    return _keeps_descriptors


def _map_tracked(fd: int, nbytes: int, *, writable: bool, private: bool) -> mmap.mmap:
    """Map a file by the module mmap, which keeps a descriptor up to Python 3.12."""
    global _keeps_descriptors
    _keeps_descriptors = not _UNTRACKED
    flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    try:
        return mmap.mmap(fd, nbytes, flags, prot, **_UNTRACKED)
    except ValueError as error:
        raise OSError(errno.ENODATA, f"it was truncated meanwhile ({error})") from None


def map_beyond(
    fd: int, least: int, most: int, *, writable: bool, private: bool
) -> mmap.mmap:
    """Map a file and addresses behind its end, where it may grow.

    Memory behind the end of the file raises SIGBUS until the file has grown. Nobody
    has to map the file again then.

    Parameters
    ----------
    fd : int
        The file; the mapping keeps its locks.
    least, most : int
        Number of bytes: `most`, or fewer if there are too few addresses.
    writable, private : bool
        See `map_file`.
    """
    # The module mmap refuses a mapping that is longer than its file. So it maps
    # addresses without memory first, and the file takes their place.
    found = _map_nothing(least, most, writable=writable)
    _replace_nothing(found, fd, _flags_of_many(private), writable=writable)
    return found


def map_aligned(
    fd: int,
    nbytes: int,
    multiple: int,
    *,
    offset: int = 0,
    writable: bool = True,
    private: bool = False,
) -> mmap.mmap:
    """Map a part of a file at an address that fits huge pages, if the system has one.

    Parameters
    ----------
    fd : int
        The file; the mapping keeps its locks.
    nbytes, offset : int
        The part, which must be within the file.
    multiple : int
        The size of a huge page.
    writable, private : bool
        See `map_file`.

    Returns
    -------
    mmap.mmap
        It is longer than `nbytes`, up to a multiple. Memory behind the end of the file
        raises SIGBUS.
    """
    # Since Linux 6.7, addresses without memory begin at a multiple if their number is
    # one. So they come first, and the file takes their place.
    whole = -(-nbytes // multiple) * multiple
    found = _map_nothing(whole, whole, writable=writable)
    flags = _flags_of_many(private)
    _replace_nothing(found, fd, flags, writable=writable, offset=offset)
    return found


def _flags_of_many(private: bool) -> int:
    """Return the flags for more addresses than the file has bytes."""
    # Without the flag, the kernel counts all private addresses as memory to come.
    return mmap.MAP_PRIVATE | _MAP_NORESERVE if private else mmap.MAP_SHARED


def _replace_nothing(
    found: mmap.mmap, fd: int, flags: int, *, writable: bool, offset: int = 0
) -> None:
    """Let a file take the place of addresses without memory, or close them."""
    address, nbytes = address_of(found), len(found)
    try:
        map_at(address, nbytes, flags, fd, writable=writable, offset=offset)
    except BaseException:
        found.close()
        raise


def _map_nothing(least: int, most: int, *, writable: bool) -> mmap.mmap:
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    while True:
        try:
            return mmap.mmap(-1, most, flags, prot)
        except OSError:
            if most <= least:
                raise
        most = max(most // 2, least)


def address_of(mapping: mmap.mmap) -> int:
    """Return the first address of a mapping."""
    try:
        return ctypes.addressof(_byte.from_buffer(mapping))
    except TypeError:  # it is read-only, which takes twice as long
        return buffers.address_of(mapping)


def create_block(nbytes: int, label: str) -> int:
    """Create and open an unnamed file of zeros in memory: memfd_create(2).

    The kernel frees it when no process has it open or mapped any more, even if they
    are killed. /proc shows it under `label`.
    """
    if not hasattr(os, "memfd_create"):
        raise NotImplementedError("this platform has no memfd_create")
    fd = standard_io.move_beyond(os.memfd_create(label, os.MFD_CLOEXEC))
    try:
        files.allocate(fd, nbytes)
    except BaseException:
        os.close(fd)
        raise
    return fd


def find_blocks(label: str) -> Iterator[int]:
    """Yield all blocks with a label, of processes that this one may look into.

    Yields
    ------
    int
        A read-only descriptor, which closes at the next step; each block once.
    """
    target = f"/memfd:{label} (deleted)"
    seen = set()
    for path in _descriptors_of_all():
        with contextlib.suppress(OSError):  # the descriptor was closed meanwhile
            if os.readlink(path) != target:
                continue
            fd = files.open_existing(path, writable=False)
            try:
                status = os.fstat(fd)
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    yield fd
            finally:
                files.close(fd)


def _descriptors_of_all() -> Iterator[str]:
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            with contextlib.suppress(OSError):  # ended, or another user's process
                for name in os.listdir(f"/proc/{pid}/fd"):
                    yield f"/proc/{pid}/fd/{name}"


def sync(address: int, nbytes: int) -> None:
    """Write the pages of a range to the disk and wait: msync(2), MS_SYNC.

    `mmap.flush` would hold the GIL meanwhile: 50 ms and more for 100 MB.

    Raises
    ------
    OSError
        EIO, ENOSPC: the data did not reach the disk. The kernel reports this once.
        The next call may succeed although the data is lost, so the caller must
        remember the error.
    """
    if _msync is None:
        raise NotImplementedError("this platform's C library has no msync")
    start = address & -PAGE_SIZE
    if _msync(start, address + nbytes - start, _MS_SYNC) != 0:
        raise_errno()


def start_writeback(fd: int, offset: int, nbytes: int) -> bool:
    """Start to write a range of a file, without waiting: sync_file_range(2).

    The portable call, msync with MS_ASYNC, starts nothing on Linux. Return False
    where there is no such call.
    """
    if _sync_file_range is None:
        return False
    return bool(_sync_file_range(fd, offset, nbytes, _SYNC_FILE_RANGE_WRITE) == 0)


def advise(address: int, nbytes: int, advice: int) -> None:
    """Give the system advice about a range of memory: madvise(2).

    `mmap.madvise` would hold the GIL meanwhile.

    Parameters
    ----------
    address : int
        A multiple of the page size.
    nbytes : int
        Rounded up to whole pages by the system.
    advice : int
        One of the numbers MADV_...

    Raises
    ------
    OSError
        EINVAL: the system does not know the advice, or not for this memory.
    """
    if _madvise is None:
        raise NotImplementedError("this platform's C library has no madvise")
    if _madvise(address, nbytes, advice) != 0:
        raise_errno()


def discard(mapping: mmap.mmap, start: int, nbytes: int) -> None:
    """Return the memory of a range to the system: madvise(2), MADV_REMOVE.

    Every process that has it mapped reads zeros from now on.
    """
    if hasattr(mmap, "MADV_REMOVE"):
        mapping.madvise(mmap.MADV_REMOVE, start, nbytes)


def map_at(
    address: int,
    nbytes: int,
    flags: int,
    fd: int,
    *,
    writable: bool = True,
    offset: int = 0,
) -> None:
    """Map a file at an address, instead of the mapping there: MAP_FIXED.

    Parameters
    ----------
    address, nbytes : int
        A mapping of this process, or a part of one.
    flags : int
        MAP_SHARED or MAP_PRIVATE, and others.
    fd, offset : int
        The file, and the position in it.
    writable : bool, default True
        Whether stores are allowed.
    """
    if raw_mmap is None:
        raise NotImplementedError("this platform's C library has no mmap")
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    if raw_mmap(address, nbytes, prot, flags | _MAP_FIXED, fd, offset) != address:
        raise_errno()
