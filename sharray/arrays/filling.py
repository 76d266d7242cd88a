"""Initial contents of new arrays: converted values, in blocks in file order.

The blocks are written to a file that has no name yet. So a value that does not fit
leaves no file behind, and an array that was to be replaced stays unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ShapeError

# Small enough to stay in a core's cache while it is written repeatedly.
_BLOCK_BYTES = 1 << 18

Contents = Iterator[memoryview] | None


def assigned(
    value: Any, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool
) -> Contents:
    """Return the contents that ``a[...] = value`` would make; None for zeros.

    Raises
    ------
    ValueError, TypeError, OverflowError
        NumPy cannot convert a value. For arrays, a later block may raise this.
    ShapeError
        The value does not broadcast to `shape`.
    """
    if value is None:
        return None
    if 0 in shape:
        np.zeros(shape, dtype)[...] = value
        return None
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return _contents(np.asarray(value), dtype, shape, fortran)
    if isinstance(value, np.ndarray | np.generic):
        length = value.shape
    else:
        length = np.array(value, dtype).shape
        if len(length) > len(shape):  # not even by dimensions of 1
            raise _no_broadcast(length, shape)
    source = np.zeros(length, dtype)
    source[...] = value
    return _contents(source, dtype, shape, fortran)


def filled(
    value: Any, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool
) -> Contents:
    """Return the contents that `numpy.full` would make; None for zeros.

    The casting is that of C; assignment would refuse numbers that are too large. Here
    a tuple can be one element of a structured dtype. `numpy.full` treats it as an
    array, and refuses it unless it happens to broadcast.

    Raises
    ------
    ValueError, TypeError, OverflowError, ShapeError
        See `assigned`.
    """
    if 0 in shape:
        np.copyto(np.zeros(shape, dtype), value, casting="unsafe")
        return None
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return _contents(np.asarray(value), dtype, shape, fortran)
    source = np.zeros(np.shape(value), dtype)
    try:
        _broadcast(source, shape)
    except ShapeError:
        if dtype.names is None or not isinstance(value, tuple):
            raise
        return assigned(value, dtype, shape, fortran)
    np.copyto(source, value, casting="unsafe")
    return _contents(source, dtype, shape, fortran)


def bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    """Return the memory of a C-contiguous array as bytes."""
    return array.reshape(-1).view(np.uint8).data


def _contents(
    source: np.ndarray[Any, Any],
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    fortran: bool,
) -> Contents:
    spread = _broadcast(source, shape)
    if dtype.itemsize == 0:
        return None
    if source.size == 1:
        return _repeated(source.reshape(()), dtype, spread.size)
    return _converted(spread.T if fortran else spread, dtype)


def _broadcast(
    source: np.ndarray[Any, Any], shape: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    while source.ndim > len(shape) and len(source) == 1:
        source = source[0]
    try:
        return np.broadcast_to(source, shape)
    except ValueError:
        raise _no_broadcast(source.shape, shape) from None


def _no_broadcast(length: tuple[int, ...], shape: tuple[int, ...]) -> ShapeError:
    return ShapeError(
        f"could not broadcast values of shape {length} to shape {shape}; give a "
        "scalar, or an array in which each dimension has the same length or length 1"
    )


def _repeated(
    value: np.ndarray[Any, Any], dtype: np.dtype[Any], count: int
) -> Contents:
    """Return `count` copies of an element, in blocks that fit the cache."""
    one = np.zeros(1, dtype)
    np.copyto(one, value, casting="unsafe")
    _clear(one, _gaps(dtype))
    if not one.tobytes().strip(b"\0"):
        return None
    per_block = min(max(1, _BLOCK_BYTES // dtype.itemsize), count)
    view = bytes_of(np.frombuffer(one.tobytes() * per_block, np.uint8))
    return (
        view[: min(per_block, count - done) * dtype.itemsize]
        for done in range(0, count, per_block)
    )


def _converted(
    spread: np.ndarray[Any, Any], dtype: np.dtype[Any]
) -> Iterator[memoryview]:
    """Yield all elements in C order, converted block by block."""
    gaps = _gaps(dtype)
    for part in _parts(spread, max(1, _BLOCK_BYTES // dtype.itemsize)):
        block = np.zeros(part.shape, dtype)
        np.copyto(block, part, casting="unsafe")
        _clear(block, gaps)
        yield bytes_of(block)


def _gaps(dtype: np.dtype[Any]) -> np.ndarray[Any, Any] | None:
    """Return which bytes of an element lie between the fields of a structure.

    None if none do, as for every dtype without fields.
    """
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        gaps = _gaps(base)
        return None if gaps is None else np.tile(gaps, math.prod(shape))
    if dtype.fields is None:
        return None
    found = np.ones(dtype.itemsize, bool)
    for field, offset, *_ in dtype.fields.values():
        gaps = _gaps(field)
        found[offset : offset + field.itemsize] &= False if gaps is None else gaps
    return found if found.any() else None


def _clear(block: np.ndarray[Any, Any], gaps: np.ndarray[Any, Any] | None) -> None:
    """Zero the bytes in gaps: NumPy 2.5 copies there what the memory held before.

    A file would keep them, and they can come from anything that this process has freed.
    """
    if gaps is not None:
        np.frombuffer(bytes_of(block), np.uint8).reshape(-1, len(gaps))[:, gaps] = 0


def _parts(array: np.ndarray[Any, Any], most: int) -> Iterator[np.ndarray[Any, Any]]:
    """Cut an array into views of at most `most` elements, in C order."""
    if array.size <= most:
        yield array
        return
    per_row = math.prod(array.shape[1:])
    if per_row > most:
        for row in array:
            yield from _parts(row, most)
        return
    step = most // per_row
    for begin in range(0, len(array), step):
        yield array[begin : begin + step]
