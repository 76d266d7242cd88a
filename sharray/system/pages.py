"""Pages of mapped files: which are in memory, which are dirty, and where they are."""

from __future__ import annotations

import ctypes
import mmap
import re
import struct
from collections.abc import Collection, Iterable, Iterator

from .c_library import c_function, raise_errno
from .memory import PAGE_SIZE, raw_mmap

_MADV_POPULATE_READ = 22  # asm-generic/mman-common.h; since Linux 5.14
_MAP_FAILED = ctypes.c_void_p(-1).value
_PROT_NONE = 0
_AT_ONCE = 1 << 30  # bytes: a quarter of a million answers of mincore
# pagemap: proc(5) and the kernel's admin-guide/mm/pagemap.rst
_PRESENT = 1 << 63
_FRAME = (1 << 55) - 1
_LOWEST_BIT = bytes(number & 1 for number in range(256))

_size = ctypes.c_size_t
_address = ctypes.c_void_p
_munmap = c_function("munmap", _address, _size)
_mprotect = c_function("mprotect", _address, _size, ctypes.c_int)
_madvise = c_function("madvise", _address, _size, ctypes.c_int)
_mincore = c_function("mincore", _address, _size, ctypes.c_char_p)


def map_to_look(fd: int, nbytes: int) -> int:
    """Map a file to look at its pages; return the address, where nothing can be read.

    It is not among what `sharray.system.mappings.find` tells. A child that is forked
    before `unmap` does not have it, which would keep the file's memory.
    """
    if raw_mmap is None or _munmap is None:
        raise NotImplementedError("this platform's C library has no mmap")
    address = raw_mmap(None, nbytes, _PROT_NONE, mmap.MAP_SHARED, fd, 0)
    if address == _MAP_FAILED:
        raise_errno()
    if _madvise is not None and hasattr(mmap, "MADV_DONTFORK"):
        _madvise(address, nbytes, mmap.MADV_DONTFORK)
    return int(address)


def unmap(address: int, nbytes: int) -> None:
    """Undo `map_to_look`."""
    assert _munmap is not None
    _munmap(address, nbytes)


def resident_runs(address: int, nbytes: int) -> Iterator[tuple[int, int]]:
    """Where the pages of a mapped file are in memory: mincore(2).

    Parameters
    ----------
    address : int
        Where to begin; a multiple of the page size.
    nbytes : int
        How far to look.

    Yields
    ------
    (int, int)
        Address and length of adjacent pages that are in memory, for whichever
        process they were brought there.
    """
    if _mincore is None:
        raise NotImplementedError("this platform's C library has no mincore")
    for start in range(address, address + nbytes, _AT_ONCE):
        length = min(_AT_ONCE, address + nbytes - start)
        answers = ctypes.create_string_buffer(-(-length // PAGE_SIZE))
        if _mincore(start, length, answers) != 0:
            raise_errno()
        # Only the lowest bit means anything.
        for run in re.finditer(rb"[^\0]+", answers.raw.translate(_LOWEST_BIT)):
            low, high = run.span()
            yield start + low * PAGE_SIZE, (high - low) * PAGE_SIZE


def show(address: int, nbytes: int, runs: list[tuple[int, int]]) -> bool:
    """Put the pages of a mapped file that are in memory into this process's tables.

    Of those the kernel tells `dirty_bytes`. None is read from the disk or written to.

    Parameters
    ----------
    address, nbytes : int
        From `mapped`.
    runs : list of (int, int)
        From `resident_runs`.

    Returns
    -------
    bool
        False where the system (before Linux 5.14) cannot.
    """
    if _madvise is None or _mprotect is None:
        return False
    if _mprotect(address, nbytes, mmap.PROT_READ) != 0:
        return False
    # Else, pages that are read ahead of would bring in others.
    _madvise(address, nbytes, mmap.MADV_RANDOM)
    shown = all(
        _madvise(start, length, _MADV_POPULATE_READ) == 0 for start, length in runs
    )
    # What can be read counts as somebody's mapping of the file.
    return _mprotect(address, nbytes, _PROT_NONE) == 0 and shown


def dirty_bytes(addresses: Collection[int]) -> dict[int, int]:
    """How much of mapped files is not on the disk yet: proc(5), smaps.

    Parameters
    ----------
    addresses : collection of int
        From `mapped`, of what was shown.

    Returns
    -------
    dict
        Shared_Dirty and Private_Dirty by address. One look at the table tells all of
        them: a look for each would take the square of the number of mappings.
    """
    wanted = {b"%08x" % address: address for address in addresses}
    found: dict[int, int] = {}
    if not wanted:
        return found
    with open("/proc/self/smaps", "rb") as table:
        _add_dirty_bytes(table, wanted, found)
    return found


def _add_dirty_bytes(
    table: Iterable[bytes], wanted: dict[bytes, int], found: dict[int, int]
) -> None:
    address = None
    for line in table:
        name, _, value = line.partition(b":")
        if name in (b"Shared_Dirty", b"Private_Dirty"):
            if address is not None:
                nbytes = int(value.split()[0]) * 1024
                found[address] = found.get(address, 0) + nbytes
        elif b"-" in name.split()[0]:  # the line that begins a mapping
            if len(found) == len(wanted):
                return
            address = wanted.get(name.partition(b"-")[0])


def frame(pid: int, address: int) -> int | None:
    """Number of the physical page at an address of a process.

    None if it has none there yet, or this process may not know: only root may.
    """
    try:
        with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as table:
            table.seek(address // PAGE_SIZE * 8)
            (entry,) = struct.unpack("<Q", table.read(8))
    except (OSError, struct.error):
        return None
    return (entry & _FRAME or None) if entry & _PRESENT else None
