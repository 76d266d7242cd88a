"""Huge pages for files in memory, which need no permission and no setting.

A file in memory gets pages of 4 KiB, unless an administrator has set something else.
Each costs a page fault in each process that maps the file, and a load of the page
table. MADV_COLLAPSE (since Linux 6.1) turns 2 MiB of them into one huge page. If only
the first page is there, the system just takes a huge page of zeros. This is four times
as fast as to allocate 512 pages::

    range of 2 MiB:  (hole) --write one byte--> one page --MADV_COLLAPSE--> huge page
                                                   |  no huge page is free, or not
                                                   v  allowed here
                                              stays as it is; `files.allocate` adds
                                              the other pages

Only whole ranges within the file are collapsed, so a file takes no more memory than
without. A mapping uses huge pages only if its address is a multiple of their size.
An administrator forbids all of this by writing ``deny`` to the setting shmem_enabled.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
from collections.abc import Iterable

from . import files, memory

MADV_COLLAPSE = 25  # asm-generic/mman-common.h
_AT_ONCE = 64 << 20  # bytes; Ctrl-C does not interrupt the system call
_COPIED_AT_ONCE = 4 << 20  # bytes; a copy holds the GIL
_SMALLEST = 1 << 20  # bytes; no system has smaller huge pages than half of it
_FEWEST = 2  # pages in a file


@functools.cache
def size() -> int:
    """Return the size of a huge page in bytes; 0 if the system has none."""
    # Not `limits.huge_pages`, whose module takes 2 ms to import.
    try:
        with open("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def smallest_file() -> int:
    """Return the size in bytes from which on files get huge pages; 0 for none."""
    return _FEWEST * size()


def _are_worth_it(nbytes: int) -> bool:
    # First, as it spares small arrays reading the setting.
    return nbytes >= _SMALLEST and 0 < smallest_file() <= nbytes


def fill(fd: int, nbytes: int) -> bool:
    """Make an empty file in memory longer, by huge pages of zeros.

    Call `files.allocate` afterwards: as soon as there is no huge page, the rest of the
    file has no pages.

    Parameters
    ----------
    fd : int
        An empty file on a tmpfs.
    nbytes : int
        Its size to be.

    Returns
    -------
    bool
        Whether the file has huge pages, apart from its end.
    """
    if not _are_worth_it(nbytes):
        return False
    whole = nbytes // size() * size()
    at_once = max(_AT_ONCE, size())
    try:
        os.ftruncate(fd, whole)
    except OSError:
        return False  # `files.allocate` raises the error
    return all(
        _fill(fd, start, min(at_once, whole - start))
        for start in range(0, whole, at_once)
    )


def _fill(fd: int, start: int, nbytes: int) -> bool:
    try:
        for offset in range(start, start + nbytes, size()):
            os.pwrite(fd, b"\0", offset)
        with memory.map_aligned(fd, nbytes, size(), offset=start) as mapping:
            collapse(memory.address_of(mapping), nbytes)
    except (OSError, NotImplementedError):
        return False  # if there is no room, `files.allocate` raises the error
    return True


def store(fd: int, parts: Iterable[memoryview], position: int, nbytes: int) -> None:
    """Copy data to a file that has huge pages, by mapping it.

    That takes half as long as write(2), which copies page by page.

    Parameters
    ----------
    fd : int
        A file for which `fill` has returned True, and all of which has room.
    parts : iterable of memoryview
        Bytes of the file.
    position : int
        Where the first part begins; the others follow.
    nbytes : int
        Size of the file.
    """
    try:
        mapping = memory.map_aligned(fd, nbytes, size())
    except OSError:  # too few addresses
        files.write_all_at(fd, parts, position)
        return
    with mapping:
        for part in parts:
            _copy(part, mapping, position)
            position += part.nbytes


def _copy(part: memoryview, mapping: mmap.mmap, position: int) -> None:
    for start in range(0, part.nbytes, _COPIED_AT_ONCE):
        piece = part[start : start + _COPIED_AT_ONCE]
        mapping[position + start : position + start + piece.nbytes] = piece


def collapse(address: int, nbytes: int) -> None:
    """Turn the pages of a mapped file in memory into huge pages: madvise(2).

    Pages at both ends that do not make a huge page stay as they are. Values stay the
    same, for other processes as well. It takes 0.3 ms per huge page.

    Raises
    ------
    OSError
        EINVAL: the system has no huge pages for this file. ENOMEM, EAGAIN, EBUSY: not
        now, or not for all of it.
    """
    if size() == 0:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    start = -(-address // size()) * size()
    end = (address + nbytes) // size() * size()
    if start < end:
        memory.advise(start, end - start, MADV_COLLAPSE)


def map_file(
    fd: int, nbytes: int, *, writable: bool, private: bool, one_of_few: bool = False
) -> mmap.mmap:
    """Map a whole file in memory so that its huge pages are used.

    See `memory.map_file` for parameters and errors.
    """
    if _are_worth_it(nbytes) and memory.raw_mmap is not None:
        if os.fstat(fd).st_size < nbytes:
            raise OSError(errno.ENODATA, "it was truncated meanwhile")
        # Ordinary pages need up to a huge page fewer addresses, and where memory is not
        # overcommitted, no memory to come.
        with contextlib.suppress(OSError):
            return memory.map_aligned(
                fd, nbytes, size(), writable=writable, private=private
            )
    return memory.map_file(
        fd, nbytes, writable=writable, private=private, one_of_few=one_of_few
    )
