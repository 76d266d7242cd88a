"""Pages of mapped files: those in memory, those that are dirty, and their frames."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import struct
from collections.abc import Collection, Iterable, Iterator

from .c_library import c_function, raise_errno
from .memory import PAGE_SIZE, raw_mmap

_MADV_POPULATE_READ = 22  # asm-generic/mman-common.h; since Linux 5.14
_MAP_FAILED = ctypes.c_void_p(-1).value
_PROT_NONE = 0
_AT_ONCE = 1 << 30  # bytes; 256 K answers of mincore
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
    """Map a file to inspect its pages; return the address, which cannot be read.

    `sharray.system.mappings.find` leaves this mapping out. A child that is forked
    before `unmap` does not inherit it: the mapping would keep the file's memory.
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
    """Yield the runs of pages of a mapped file that are in memory: mincore(2).

    Parameters
    ----------
    address : int
        First address; a multiple of the page size.
    nbytes : int
        Length of the range.

    Yields
    ------
    (int, int)
        Address and length of adjacent pages that are in memory, whichever process
        uses them.
    """
    if _mincore is None:
        raise NotImplementedError("this platform's C library has no mincore")
    for start in range(address, address + nbytes, _AT_ONCE):
        length = min(_AT_ONCE, address + nbytes - start)
        answers = ctypes.create_string_buffer(-(-length // PAGE_SIZE))
        if _mincore(start, length, answers) != 0:
            raise_errno()
        # Only the lowest bit is defined.
        for run in re.finditer(rb"[^\0]+", answers.raw.translate(_LOWEST_BIT)):
            low, high = run.span()
            yield start + low * PAGE_SIZE, (high - low) * PAGE_SIZE


def show(address: int, nbytes: int, runs: list[tuple[int, int]]) -> bool:
    """Add the pages of a mapped file that are in memory to this process's page table.

    `dirty_bytes` counts only pages of the table. No page is read from the disk or
    written.

    Parameters
    ----------
    address, nbytes : int
        The mapping, made by `map_to_look`.
    runs : list of (int, int)
        From `resident_runs`.

    Returns
    -------
    bool
        False where the system cannot: before Linux 5.14.
    """
    if _madvise is None or _mprotect is None:
        return False
    if _mprotect(address, nbytes, mmap.PROT_READ) != 0:
        return False
    # Without this, the kernel would read ahead and bring in further pages.
    _madvise(address, nbytes, mmap.MADV_RANDOM)
    shown = all(
        _madvise(start, length, _MADV_POPULATE_READ) == 0 for start, length in runs
    )
    # `sharray.system.mappings.find` would report a mapping that can be read.
    return _mprotect(address, nbytes, _PROT_NONE) == 0 and shown


def dirty_bytes(addresses: Collection[int]) -> dict[int, int]:
    """Return how many bytes of mapped files are not on the disk yet: proc(5), smaps.

    Read the table once for all mappings; reading it for each would take quadratic
    time.

    Parameters
    ----------
    addresses : collection of int
        From `map_to_look`, after `show`.

    Returns
    -------
    dict
        Sum of Shared_Dirty and Private_Dirty by address.
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
    """Return the number of the physical page at an address of a process.

    Return None if there is no page yet, or if this user is not root.
    """
    try:
        with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as table:
            table.seek(address // PAGE_SIZE * 8)
            (entry,) = struct.unpack("<Q", table.read(8))
    except (OSError, struct.error):
        return None
    return (entry & _FRAME or None) if entry & _PRESENT else None


def is_readable(address: int) -> bool:
    """Tell whether this process can read a byte without a crash.

    A page of a mapping behind the end of its file cannot be read: SIGBUS. Without
    /proc, return True.
    """
    try:
        fd = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return len(os.pread(fd, 1, address)) == 1
    except OSError:
        return False
    finally:
        os.close(fd)
