"""The named reductions of two numbers: ``reduce="sum"``, ``"min"`` and ``"max"``.

Like NumPy's, they return NaN if one of the numbers is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .blocks import ShapesDifferError
from .tuples import rebuild_tuple


def _sum(left: Any, right: Any) -> Any:
    return left + right


def _min(left: Any, right: Any) -> Any:
    if left != left:
        return left
    if right != right or right < left:
        return right
    return left


def _max(left: Any, right: Any) -> Any:
    if left != left:
        return left
    if right != right or right > left:
        return right
    return left


ITEMWISE: dict[str, Callable[[Any, Any], Any]] = {
    "sum": _sum,
    "min": _min,
    "max": _max,
}


_ON_ARRAYS: dict[str, Any] = {"sum": np.add, "min": np.minimum, "max": np.maximum}


def combine(reducer: str | Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Combine two values in plain Python, by items of tuples and elements of arrays.

    Examples
    --------
    >>> combine("max", (1, 5), (2, 4))
    (2, 5)
    """
    if not isinstance(reducer, str):
        return reducer(left, right)
    function = ITEMWISE[reducer]
    if isinstance(left, tuple):
        return rebuild_tuple(left, map(function, left, right))
    if isinstance(left, np.ndarray):
        if left.shape != right.shape:
            raise ShapesDifferError(left.shape, right.shape)
        return _ON_ARRAYS[reducer](left, right)
    return function(left, right)


def kept(reducer: str | Callable[[Any, Any], Any] | None, value: Any) -> Any:
    """Return the first value of a run in plain Python, as machine code keeps it.

    An array is copied, since it may be an argument. A sum of narrow integers gets 64
    bits.

    Examples
    --------
    >>> kept("sum", np.array([200], np.uint8)).dtype
    dtype('uint64')
    """
    if not isinstance(value, np.ndarray):
        return value
    dtype = value.dtype
    if reducer == "sum" and dtype.kind in "bi":
        dtype = np.dtype(np.int64)
    if reducer == "sum" and dtype.kind == "u":
        dtype = np.dtype(np.uint64)
    return np.array(value, dtype, order="C", copy=True)
