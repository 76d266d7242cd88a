"""Staleness: whether a file still is the array that this process has mapped.

Others may remove the file, replace it, truncate it, or write another array into it. A
look costs about as much as stat(2), and touches no page behind the end of the file,
which would kill the process with SIGBUS.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..errors import FormatError
from ..system import files, interrupts, pages
from . import header as header_block
from .dtypes import short
from .header import Header
from .segment import Segment

_OVERWRITTEN = "its file was overwritten, and is no such array any more"


class Stale(NamedTuple):
    """How a mapped array differs from the file of its name.

    Attributes
    ----------
    problem : str
        A phrase for people, as in "its file was removed".
    readable : int or None
        Position in the file up to which reading is safe; None for all.
    """

    problem: str
    readable: int | None = None


def look(segment: Segment, address: int) -> Stale | None:
    """Return how an array is stale, or None.

    An array whose name this process has removed by `sharray.unlink` is not: that was on
    purpose.

    Parameters
    ----------
    segment : Segment
        The mapped file.
    address : int
        Address of the mapping.
    """
    with interrupts.deferred():
        path = segment.find_path()
        if path is None:
            return _nameless(segment, address)
        return _named(segment, path)


def _nameless(segment: Segment, address: int) -> Stale | None:
    if segment.is_unnamed:
        return None  # nobody else can reach the file
    # The size of a file without a name is not known, so try its last byte.
    if not pages.is_readable(address + segment.data_range[1] - 1):
        return Stale("its file was truncated and has no name", 0)
    if segment.anonymous or segment.awaits_name or segment.unlinked:
        return None
    if os.path.lexists(segment.path):
        return Stale("its file was replaced by another")
    # A new file in RAM is not found again under another name; see `map_by_name`.
    return Stale(f"its file was removed{' or renamed' if segment.volatile else ''}")


def _named(segment: Segment, path: str) -> Stale | None:
    try:
        fd = files.open_existing(path, writable=False)
    except OSError:
        return None  # removed meanwhile, or this user may not read it
    try:
        return _differs(segment, fd)
    finally:
        files.close(fd)


def _differs(segment: Segment, fd: int) -> Stale | None:
    """Compare the file with what is mapped; the descriptor is safe to read."""
    status = files.status(fd)
    if (status.st_dev, status.st_ino) != (segment.device, segment.inode):
        return Stale("its file was replaced by another")
    size, end = status.st_size, segment.data_range[1]
    problem = None
    if not segment.anonymous:  # else its header may describe bytes
        block = files.read_at(fd, segment.header.data_offset, 0)
        problem = _rewritten(segment, block)
    if size < end:
        if problem in (None, _OVERWRITTEN):
            problem = f"its file was truncated to {size} bytes, expected {end}"
        return Stale(str(problem), size)
    return None if problem is None else Stale(problem)


def _rewritten(segment: Segment, block: bytes) -> str | None:
    """Tell whether a program has written another array into the same file."""
    mapped = segment.header
    if header_block.checked(block)[0] == mapped.checksum:
        return None
    try:
        length = header_block.full_length(block, segment.path)
        found = header_block.decode(block[:length], segment.path)
    except FormatError:
        return _OVERWRITTEN
    if len(block) < length:
        return _OVERWRITTEN  # only a part of a header is left
    if _is_same(mapped, found):
        return None
    described = f"{short(found.dtype)} of shape {found.shape}"
    return f"another array was written into its file: {described}"


def _is_same(mapped: Header, found: Header) -> bool:
    """Tell whether headers describe the same data; one may have become growable."""
    if (mapped.dtype, mapped.fortran_order, mapped.data_offset) != (
        found.dtype,
        found.fortran_order,
        found.data_offset,
    ):
        return False
    if found.growing is None or len(found.shape) != len(mapped.shape):
        return found.shape == mapped.shape
    return found.with_rows(0).shape == mapped.with_rows(0).shape
