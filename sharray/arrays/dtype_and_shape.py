"""Checks of the constructors' arguments, which follow NumPy's."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from ..errors import DtypeError, ShapeError
from ..storage.dtypes import check_dtype
from ..storage.header import check_shape

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Shape = SupportsIndex | Sequence[SupportsIndex]


def check_dtype_and_shape(
    dtype: DTypeLike, shape: Any
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Convert a dtype and a shape as NumPy does, or raise a clear error."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError) as error:
        raise DtypeError(f"cannot understand dtype {dtype!r}: {error}") from None
    if found.kind in "SU" and found.itemsize == 0:
        found = np.empty(0, found).dtype  # of one character
    dims = _dimensions(shape)
    if found.subdtype is not None:
        found, inner = found.subdtype
        dims += inner
    check_dtype(found)
    check_shape(dims, found.itemsize)
    return found, dims


def _dimensions(shape: Any) -> tuple[int, ...]:
    try:
        return (_dimension(shape),)
    except TypeError:
        pass
    try:
        if hasattr(shape, "__getitem__") and not isinstance(shape, Mapping):
            return tuple(map(_dimension, shape))
    except TypeError:
        pass
    raise ShapeError(
        f"shape must be an integer or a sequence of integers, got {shape!r}"
    )


def _dimension(n: Any) -> int:
    if isinstance(n, bool):  # probably a mistake; NumPy refuses it, too
        raise TypeError("expected an integer, got a bool")
    return operator.index(n)


def is_fortran(order: str | None, model: np.ndarray[Any, Any] | None = None) -> bool:
    """Tell whether `order` means column-major; ``K`` and ``A`` follow `model`."""
    if order is None:  # the default in NumPy
        order = "C" if model is None else "K"
    if not isinstance(order, str):
        raise TypeError(f"order must be a string such as 'C', got {order!r}")
    letter = order.upper()
    if letter in ("C", "F"):
        return letter == "F"
    if model is not None and letter in ("K", "A"):
        return model.flags.f_contiguous and not model.flags.c_contiguous
    allowed = "'C' or 'F'" if model is None else "'C', 'F', 'K' or 'A'"
    raise ValueError(f"order must be {allowed}, got {order!r}")
