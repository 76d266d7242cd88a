"""Arrays on all the data of a file, or on memory found to be part of one."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import DtypeError
from ..storage.dtypes import check_dtype
from ..storage.header import Header
from . import handle
from .core import AnyArray, SharedArray, view_of
from .root import Root, address_of, find_root_at, root_below


def all_of(root: Root) -> AnyArray:
    """Return the array that the header of a file describes."""
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
    """Return the same bytes as a shared array, or None if they are not shared data."""
    address = address_of(np.frombuffer(memory, np.uint8))
    root = find_root_at(address)
    if root is None or root.segment.mode == "c":
        return None
    offset = address - root.address
    first, end = root.segment.data_range
    if offset < first or offset + memory.nbytes > end:
        return None
    return view_of(root, (memory.nbytes,), np.dtype(np.uint8), offset, None)


def shared_view(array: np.ndarray[Any, Any]) -> AnyArray | None:
    """Return the same view as a `SharedArray`, or None if no handle can describe it.

    Parameters
    ----------
    array : ndarray
        Any array, shared or not.
    """
    root = root_below(array)
    if root is None or root.segment.mode == "c":
        return None
    dtype = array.dtype
    if dtype.isbuiltin == 2 or dtype.metadata is not None:
        return None  # a handle would lose part of the dtype
    if handle.find_place(array, root) is None:
        return None
    with suppress(DtypeError):
        check_dtype(dtype)
        return array.view(SharedArray)
    return None
