"""Handles, the pickled form of a view, and how another process opens them.

A handle names a file by its path and identity, and a view of it by offset, dtype, shape
and strides. The receiver trusts none of it, and checks everything against the file.
`numpy.ndarray` would accept wild offsets and strides that wrap around, and then crash.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import HandleError
from ..storage import location
from ..storage.dtypes import check_dtype, spell, spelled
from ..storage.header import check_shape
from ..storage.identity import IDENTITY_SIZE
from .root import Root, attach_kept_root, attach_root, find_root, refresh

_INTEGERS = {int}


def extent(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int
) -> tuple[int, int]:
    """Return the first byte that an array touches, and the byte after the last.

    Examples
    --------
    >>> extent(100, (3, 2), (-16, 8), 8)
    (68, 116)
    >>> extent(100, (0, 2), (-16, 8), 8)
    (100, 100)
    """
    if 0 in shape:
        return offset, offset
    low = high = offset
    for i in range(len(shape)):
        step = (shape[i] - 1) * strides[i]
        if step < 0:
            low += step
        else:
            high += step
    return low, high + itemsize


def has_handle(mode: str | None) -> bool:
    """Tell whether arrays of a mode pickle as handles, and not by value."""
    return mode in ("r", "r+")


def find_place(array: np.ndarray[Any, Any], root: Root) -> tuple[int, int, int] | None:
    """Find an array's position in a file by its address; None if it is not there.

    Returns
    -------
    offset, low, high : int
        Positions in the file of the array's first element, of the first byte that it
        touches, and of the byte after the last.
    """
    offset = array.__array_interface__["data"][0] - root.address
    first, end = root.segment.data_range
    if array.flags.c_contiguous:
        low, high = offset, offset + array.nbytes
    else:
        low, high = extent(offset, array.shape, array.strides, array.itemsize)
    if low == high:  # NumPy lets empty views point anywhere
        return first, first, first
    return (offset, low, high) if first <= low and high <= end else None


def describe(
    array: np.ndarray[Any, Any], root: Root, offset: int, *, maybe_kept: bool
) -> tuple[Any, ...]:
    """Return the arguments from which `open_handle` makes the same view elsewhere.

    Parameters
    ----------
    array : ndarray
        The view.
    root : Root
        Root array of the view.
    offset : int
        Position of its first element in the file, in bytes.
    maybe_kept : bool
        See `sharray.storage.lifetime.transit.record_sent`.
    """
    segment = root.segment
    token = 0
    if segment.anonymous:
        token = segment.record_sent(maybe_kept=maybe_kept)
    else:
        segment.check_reachable()
    flags = array.flags
    return (
        segment.path,
        segment.identity,
        segment.mode,
        offset,
        spell(array.dtype),
        array.shape,
        None if flags.c_contiguous else array.strides,
        flags.writeable,
        token,
    )


def root_for(path: Any, identity: Any, mode: Any) -> Root:
    """Return the root array of the file that a handle names; map the file if needed.

    Raises
    ------
    HandleError, ArrayGoneError, FormatError, StorageError
        There is no such file, or it cannot be used.
    """
    if type(identity) is bytes and type(mode) is str:
        root = find_root(identity, mode)
        if root is None:
            root = attach_kept_root(identity, mode)
        if root is not None:
            return root
    _check_origin(path, identity, mode)
    return attach_root(location.locate(path), mode, identity)


def _check_origin(path: Any, identity: Any, mode: Any) -> None:
    """Refuse a path, identity or mode that no handle of this library has."""
    # The errors do not print the value: it can be any object, of any size.
    if type(path) is not str or not path.startswith("/") or "\0" in path:
        problem = "expected an absolute path"
    elif type(identity) is not bytes or len(identity) != IDENTITY_SIZE:
        problem = f"expected an identity of {IDENTITY_SIZE} bytes"
    elif type(mode) is not str or mode not in ("r", "r+"):
        problem = "expected mode 'r' or 'r+'"
    else:
        return
    raise HandleError(
        f"not a handle of this library: {problem}; send the array again",
        path if type(path) is str else None,
    )


def check_view(
    root: Root,
    offset: int,
    dtype: str | np.dtype[Any],
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
) -> np.dtype[Any]:
    """Check that a view lies within the data of a file, and return its dtype.

    Raises
    ------
    TypeError, ValueError
        A value has the wrong type, or the view does not fit. Only Python's own
        integers are allowed, since NumPy's wrap around.
    """
    if not (
        type(offset) is int
        and type(shape) is tuple
        and _INTEGERS.issuperset(map(type, shape))
    ):
        raise TypeError("expected an integer as offset and integers as shape")
    found = spelled(dtype) if type(dtype) is str else dtype
    if not isinstance(found, np.dtype) or found.subdtype is not None:
        raise TypeError("expected a dtype without a shape of its own")
    check_dtype(found)
    if found.itemsize == 0:
        check_shape(shape, 0)  # of no bytes, so that NumPy would not check it
    if strides is None:
        low, high = offset, offset + math.prod(shape) * found.itemsize
    else:
        if (
            type(strides) is not tuple
            or len(strides) != len(shape)
            or not _INTEGERS.issuperset(map(type, strides))
        ):
            raise TypeError("expected an integer stride for each dimension")
        low, high = extent(offset, shape, strides, found.itemsize)
    if high > root.segment.data_range[1]:
        refresh(root)  # the sender has seen more rows
    first, end = root.segment.data_range
    if not first <= low <= high <= end:
        raise ValueError(f"expected bytes within {first} to {end}")
    return found
