"""Arguments of the constructors: what NumPy takes, checked and made plain."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from ..errors import DtypeError, ShapeError
from ..storage import header

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Shape = SupportsIndex | Sequence[SupportsIndex]

# Small enough to stay in a core's cache while it is written again and again.
_BLOCK_BYTES = 1 << 18


def check_dtype_and_shape(
    dtype: DTypeLike, shape: Any
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """What NumPy would take as dtype and shape, or a clear refusal."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError) as error:
        raise DtypeError(f"cannot understand dtype {dtype!r}: {error}") from None
    if found.kind in "SU" and found.itemsize == 0:
        found = np.dtype(f"{found.kind}1")  # as numpy.empty does
    dims = _dimensions(shape)
    if found.subdtype is not None:
        found, inner = found.subdtype
        dims += inner
    header.check_dtype(found)
    header.check_shape(dims, found.itemsize)
    return found, dims


def _dimensions(shape: Any) -> tuple[int, ...]:
    try:
        return (operator.index(shape),)
    except TypeError:
        pass
    try:
        return tuple(operator.index(n) for n in shape)
    except TypeError:
        raise ShapeError(
            f"shape must be an integer or a sequence of integers, found {shape!r}"
        ) from None


def is_fortran(order: str, model: np.ndarray[Any, Any] | None = None) -> bool:
    """Whether `order` asks for column-major, where ``K`` and ``A`` ask `model`."""
    if order in ("C", "F"):
        return order == "F"
    if model is not None and order in ("K", "A"):
        return model.flags.f_contiguous and not model.flags.c_contiguous
    allowed = "'C' or 'F'" if model is None else "'C', 'F', 'K' or 'A'"
    raise ValueError(f"order must be {allowed}, found {order!r}")


def prepare_fill(
    value: Any, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> tuple[Iterator[memoryview] | None, Any]:
    """The contents of a file that is full of `value`, or what to assign later."""
    if value is None or 0 in shape:
        return None, None
    if np.ndim(value) != 0:
        return None, value
    one = np.empty((), dtype)
    one[...] = value
    if not one.tobytes().strip(b"\0"):
        return None, None
    return _repeated(one, math.prod(shape)), None


def bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    """The memory of a C-contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def _repeated(one: np.ndarray[Any, Any], count: int) -> Iterator[memoryview]:
    """`count` times the same element, in blocks that fit the cache."""
    per_block = min(max(1, _BLOCK_BYTES // one.itemsize), count)
    block = np.empty(per_block, one.dtype)
    block[...] = one
    view = bytes_of(block)
    for done in range(0, count, per_block):
        yield view[: min(per_block, count - done) * one.itemsize]
