"""Handles: what a pickled view consists of, and opening it elsewhere.

A handle names a file by its path and identity, and a view of it by offset,
dtype, shape and strides. Whoever opens it checks all of it against the file, as
if it came from a stranger: `numpy.ndarray` itself takes wild offsets and strides
that wrap around, and then crashes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import HandleError
from ..storage import location
from ..storage.header import check_dtype, check_shape
from .root import Root, attach_root, find_root

if TYPE_CHECKING:
    from .core import AnyArray

_IDENTITY_SIZE = 32


class Place(NamedTuple):
    """Where in its file an array lies, in bytes."""

    offset: int
    low: int
    high: int


def extent(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int
) -> tuple[int, int]:
    """First byte that an array touches, and the first behind it.

    Examples
    --------
    >>> extent(100, (3, 2), (-16, 8), 8)
    (68, 116)
    >>> extent(100, (0, 2), (-16, 8), 8)
    (100, 100)
    """
    low = high = offset
    for n, stride in zip(shape, strides, strict=True):
        if n == 0:
            return offset, offset
        if stride < 0:
            low += (n - 1) * stride
        else:
            high += (n - 1) * stride
    return low, high + itemsize


def find_place(array: np.ndarray[Any, Any], root: Root) -> Place | None:
    """Where an array lies in a file, from its address; None if it does not."""
    offset = array.__array_interface__["data"][0] - root.address
    first, end = root.segment.data_range
    if array.flags.c_contiguous:
        low, high = offset, offset + array.nbytes
    else:
        low, high = extent(offset, array.shape, array.strides, array.itemsize)
    if low == high:  # NumPy lets empty views point anywhere
        return Place(first, first, first)
    return Place(offset, low, high) if first <= low and high <= end else None


def describe(array: np.ndarray[Any, Any], root: Root, place: Place) -> tuple[Any, ...]:
    """The arguments with which `open_handle` makes the same view elsewhere."""
    segment = root.segment
    dtype = array.dtype
    flags = array.flags
    return (
        segment.path,
        segment.identity,
        segment.mode,
        place.offset,
        dtype if dtype.names is not None else dtype.str,
        array.shape,
        None if flags.c_contiguous else array.strides,
        flags.writeable,
        segment.record_sent() if segment.anonymous else 0,
    )


def open_handle(
    path: str,
    identity: bytes,
    mode: str,
    offset: int,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    writeable: bool,
    token: int,
) -> AnyArray:
    """Open the view that a handle describes; unpickling calls this.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    identity : bytes
        Device, inode and uuid of the file, 32 bytes.
    mode : {'r', 'r+'}
        How to map it.
    offset : int
        Position of the first element in the file, bytes.
    dtype : str or numpy.dtype
        Of the view.
    shape : tuple of int
        Of the view.
    strides : tuple of int, optional
        Of the view, bytes; C-contiguous without.
    writeable : bool
        Whether the view may be written to.
    token : int
        What tells the sender that the handle has arrived; 0 for none.

    Raises
    ------
    HandleError
        The parts of the handle do not fit together, or not the file.
    ArrayGoneError
        The file is gone, or another one has its name.
    """
    from .core import view_of  # core imports this module to pickle itself

    root = find_root(identity, mode) if type(identity) is bytes else None
    if root is None:
        _check_origin(path, identity, mode)
        root = attach_root(location.locate(path), mode, identity)
    try:
        found = np.dtype(dtype)
        check_dtype(found)
        _check_bounds(root, offset, found, shape, strides)
        array = view_of(root, shape, found, offset, strides)
        if not writeable:
            array.flags.writeable = False
        if token:
            root.segment.record_received(token)
    except (TypeError, ValueError, SyntaxError, OverflowError) as error:
        raise HandleError(
            f"a handle does not fit the array {root.segment.path!r}: {error}; the "
            "handle is damaged, or the file has changed since it was made",
            root.segment.path,
        ) from error
    return array


def _check_origin(path: Any, identity: Any, mode: Any) -> None:
    """Refuse what no handle says of the file it is for."""
    if type(path) is not str or not path.startswith("/") or "\0" in path:
        problem = f"expected an absolute path, found {path!r:.80}"
    elif type(identity) is not bytes or len(identity) != _IDENTITY_SIZE:
        problem = f"expected {_IDENTITY_SIZE} bytes of identity, found {identity!r:.80}"
    elif mode not in ("r", "r+"):
        problem = f"expected mode 'r' or 'r+', found {mode!r:.80}"
    else:
        return
    raise HandleError(f"not a handle of this library: {problem}", str(path))


def _check_bounds(
    root: Root,
    offset: int,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
) -> None:
    """Refuse a view that would reach outside the data."""
    if strides is None:
        low, high = offset, offset + math.prod(shape) * dtype.itemsize
    else:
        check_shape(shape, dtype.itemsize)
        low, high = extent(offset, shape, strides, dtype.itemsize)
    first, end = root.segment.data_range
    if not first <= low <= high <= end:
        raise ValueError(
            f"expected bytes within {first} to {end}, found {low} to {high}"
        )
