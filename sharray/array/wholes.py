"""Arrays on all the data of a file."""

from __future__ import annotations

import numpy as np

from ..storage.header import Header
from .core import AnyArray, view_of
from .root import Root, address_of, find_root_at


def whole(root: Root) -> AnyArray:
    """The array that the header of a file describes."""
    found = root.segment.header
    strides = _fortran_strides(found) if found.fortran_order else None
    return view_of(root, found.shape, found.dtype, found.data_offset, strides)


def _fortran_strides(found: Header) -> tuple[int, ...]:
    strides = []
    step = found.dtype.itemsize
    for n in found.shape:
        strides.append(step)
        step *= max(n, 1)
    return tuple(strides)


def shared_bytes(memory: memoryview) -> AnyArray | None:
    """The same bytes as a shared array, None if they are not of a file's data."""
    address = address_of(np.frombuffer(memory, np.uint8))
    root = find_root_at(address)
    if root is None or root.segment.mode == "c":
        return None
    offset = address - root.address
    first, end = root.segment.data_range
    if offset < first or offset + memory.nbytes > end:
        return None
    return view_of(root, (memory.nbytes,), np.dtype(np.uint8), offset, None)
