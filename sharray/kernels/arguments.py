"""Arguments of kernels: what type each is, and how it is written into slots.

Nothing here needs numba, so that a process which received machine code can find
out whether it fits without the third of a second that importing numba takes.

A kernel's entry reads its arguments from *slots*, words of 64 bits:

- an array is base, offset, axis, then the shape, then the strides. Its address is
  ``bases[base] + offset``, so that processes which map a segment at different
  addresses can share the slots. `axis` is the one along which the entry cuts out
  the chunk, or -1.
- a number is its bytes, padded to whole words; a tuple is its items.
- a counter or barrier is the array of its cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .barrier import Barrier
from .counter import Counter

WORD = 8
WHOLE = -1
_INT64 = np.iinfo(np.int64)
_CELLS = (Counter, Barrier)


class ArrayKey(NamedTuple):
    """The type of an array."""

    dtype: np.dtype[Any]
    ndim: int
    layout: str  # C, F, or A for any, as numba calls them
    writeable: bool

    def __str__(self) -> str:
        read_only = "" if self.writeable else ", read-only"
        return f"array({self.dtype}, {self.ndim}d, {self.layout}{read_only})"


class NumberKey(NamedTuple):
    """The type of a number, by the dtype of it."""

    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return str(self.dtype)


class TupleKey(NamedTuple):
    """The type of a tuple."""

    items: tuple[Key, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


class CellsKey(NamedTuple):
    """A counter or a barrier."""

    kind: str

    def __str__(self) -> str:
        return self.kind


class NoneKey(NamedTuple):
    """None."""

    def __str__(self) -> str:
        return "None"


Key = ArrayKey | NumberKey | TupleKey | CellsKey | NoneKey
Keys = tuple[Key, ...]

_NONE = NoneKey()
_INT = NumberKey(np.dtype(np.int64))
_FLOAT = NumberKey(np.dtype(np.float64))


def array_key(array: np.ndarray[Any, Any], axis: int = WHOLE) -> ArrayKey:
    """The type of an array, or of the chunks that it is cut into along an axis.

    Examples
    --------
    >>> a = np.zeros((4, 6))
    >>> print(array_key(a), array_key(a, axis=0), array_key(a, axis=1))
    array(float64, 2d, C) array(float64, 2d, C) array(float64, 2d, A)
    """
    flags = array.flags
    # Chunks of one element along the axis may be contiguous by accident; only what
    # holds for all of them counts.
    if flags.c_contiguous and (axis <= 0 or set(array.shape[:axis]) == {1}):
        layout = "C"
    elif flags.f_contiguous and (
        axis in (WHOLE, array.ndim - 1) or set(array.shape[axis + 1 :]) == {1}
    ):
        layout = "F"
    else:
        layout = "A"
    return ArrayKey(array.dtype, array.ndim, layout, flags.writeable)


def key_of(value: object) -> Key:
    """The type of an argument that is not cut into chunks.

    Raises
    ------
    TypeError
        It is nothing that a kernel takes.
    """
    if type(value) is float:
        return _FLOAT
    if type(value) is int and _INT64.min <= value <= _INT64.max:
        return _INT
    if isinstance(value, np.ndarray):
        return array_key(value)
    if value is None:
        return _NONE
    if isinstance(value, _CELLS):
        return CellsKey(type(value).__name__)
    if type(value) is tuple and not any(isinstance(item, _CELLS) for item in value):
        return TupleKey(tuple(key_of(item) for item in value))
    if isinstance(value, (bool, int, complex, np.generic)):
        dtype = np.asarray(value).dtype
        if dtype.kind in "biufcmM":
            return NumberKey(dtype)
    raise TypeError(
        "expected arrays, numbers, tuples of these, None, counters or barriers as "
        f"arguments of a kernel, found {type(value).__name__}; pass what the kernel "
        "needs of it as numbers or arrays"
    )


# Where an array lies, as base and offset.
Place = Callable[[np.ndarray[Any, Any]], tuple[int, int]]


def array_slots(
    array: np.ndarray[Any, Any], place: tuple[int, int], axis: int = WHOLE
) -> list[int]:
    """The slots of an array that lies at `place`."""
    return [*place, axis, *array.shape, *array.strides]


def number_slots(value: object, key: NumberKey) -> list[int]:
    """The slots of a number."""
    raw = np.asarray(value, key.dtype).tobytes()
    raw = raw.ljust(-(-len(raw) // WORD) * WORD, b"\0")
    words: list[int] = np.frombuffer(raw, np.int64).tolist()
    return words


def slots_of(value: Any, key: Key, place: Place) -> list[int]:
    """The slots of an argument that is not cut into chunks."""
    if isinstance(key, NumberKey):
        return number_slots(value, key)
    if isinstance(key, ArrayKey):
        return array_slots(value, place(value))
    if isinstance(key, TupleKey):
        slots: list[int] = []
        for item, item_key in zip(value, key.items, strict=True):
            slots += slots_of(item, item_key, place)
        return slots
    if isinstance(key, CellsKey):
        cells = value._cells
        return array_slots(cells, place(cells))
    return []


def absolute(array: np.ndarray[Any, Any]) -> tuple[int, int]:
    """The place of an array in a process that uses base 0 for address 0."""
    return 0, array.__array_interface__["data"][0]
