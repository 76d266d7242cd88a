"""Outcomes: the values that kernels return, as bytes.

The entry stores an outcome, and Python reads it. An outcome begins with a word that
says whether it holds a value. From byte 16 on, it has cells of 16 bytes: one for a
number, or one for each item of a tuple.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .tuples import TupleName, class_of

USED = 0
FIRST_CELL = 16
CELL = 16
SIZE = 256
MOST_ITEMS = (SIZE - FIRST_CELL) // CELL


class ValueType(NamedTuple):
    """The type of the value that a kernel returns.

    Attributes
    ----------
    dtypes : tuple of dtype
        One dtype for a number, or one for each item of a tuple.
    is_tuple : bool
        Whether the value is a tuple.
    name : TupleName, optional
        The class of a named tuple.
    """

    dtypes: tuple[np.dtype[Any], ...]
    is_tuple: bool
    name: TupleName | None = None


def read(kind: ValueType | None, stored: bytes | memoryview) -> Any:
    """Return the value of an outcome; None if it is empty, or the kernel returns None.

    As with numba, numbers are Python's, and dates are NumPy's.
    """
    if kind is None or not any(stored[USED : USED + 8]):
        return None
    items = [
        _number(np.frombuffer(stored, dtype, 1, FIRST_CELL + number * CELL)[0])
        for number, dtype in enumerate(kind.dtypes)
    ]
    if kind.name is not None:
        named: Any = class_of(kind.name)
        return named._make(items)
    return tuple(items) if kind.is_tuple else items[0]


def _number(value: Any) -> Any:
    return value if value.dtype.kind in "mM" else value.item()
