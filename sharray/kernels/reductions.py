"""The named reductions of two numbers: ``reduce="sum"``, ``"min"`` and ``"max"``.

Like NumPy's, they return NaN if one of the numbers is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def combine(reducer: str | Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Combine two values in plain Python, item by item if they are tuples.

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
    return function(left, right)
