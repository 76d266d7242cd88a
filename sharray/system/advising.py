"""Advice to the system about memory: madvise(2), by the names of its manual page."""

from __future__ import annotations

import errno
import os

from . import memory
from .memory import PAGE_SIZE

# asm-generic/mman-common.h; the module mmap has some of them only.
_NUMBERS = {
    "normal": 0,
    "random": 1,
    "sequential": 2,
    "willneed": 3,
    "dontneed": 4,
    "huge": 14,
}
NAMES = tuple(_NUMBERS)


def advise(address: int, nbytes: int, name: str) -> None:
    """Give advice about the pages under a range of memory.

    All pages that have a part of the range, but for ``dontneed`` only those that have
    no byte beside it.

    Raises
    ------
    OSError
        EINVAL: the system does not know the advice. ENOMEM: too many mappings.
    """
    end = address + nbytes
    if name == "dontneed":
        start, end = _rounded_up(address), end & -PAGE_SIZE
    else:
        start, end = address & -PAGE_SIZE, _rounded_up(end)
    if start >= end:
        return
    try:
        memory.advise(start, end - start, _NUMBERS[name])
    except NotImplementedError as error:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from error


def _rounded_up(address: int) -> int:
    return -(-address // PAGE_SIZE) * PAGE_SIZE
