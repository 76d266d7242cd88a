"""Arrays on all the data of a file."""

from __future__ import annotations

from typing import Any

from ..storage.header import Header
from .core import AnyArray, view_of
from .root import Root


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


def assign(target: AnyArray, value: Any) -> AnyArray:
    """Set all elements, unless there is nothing to set."""
    if value is not None:
        target[...] = value
    return target
