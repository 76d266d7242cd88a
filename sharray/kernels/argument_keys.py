"""Types of kernel arguments, and their encoding as slots.

Nothing here needs numba. So a process that received machine code can check whether
it fits the arguments, without spending a third of a second on importing numba.

A kernel's entry reads its arguments from *slots*, words of 64 bits:

- An array is base, offset, axis, then the shape, then the strides. Its address is
  ``bases[base] + offset``, so processes that map a segment at different addresses
  can share the slots. The entry cuts out its chunk along `axis`; -1 means no cut.
- A number is its bytes, padded to whole words.
- A tuple or named tuple is its items.
- A counter or barrier is the array of its cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..arrays.core import SharedArray
from ..sync.barrier import Barrier
from ..sync.counter import Counter
from .tuples import TupleName, is_named, name_of

WORD = 8
WHOLE = -1
_INT64 = np.iinfo(np.int64)
_CELLS = (Counter, Barrier)
# Array types whose values are fully in their memory: no mask, no unit.
_PLAIN = {np.ndarray, np.memmap, np.recarray, SharedArray}


class ArrayKey(NamedTuple):
    """The type of an array."""

    dtype: np.dtype[Any]
    ndim: int
    layout: str  # numba's names: C, F, or A for any
    writeable: bool

    def __str__(self) -> str:
        read_only = "" if self.writeable else ", read-only"
        return f"array({self.dtype}, {self.ndim}d, {self.layout}{read_only})"


class NumberKey(NamedTuple):
    """The type of a number, given by its dtype."""

    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return str(self.dtype)


class TupleKey(NamedTuple):
    """The type of a tuple."""

    items: tuple[Key, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


class NamedTupleKey(NamedTuple):
    """The type of a named tuple."""

    items: tuple[Key, ...]
    name: TupleName

    def __str__(self) -> str:
        fields = zip(self.name.fields, self.items, strict=True)
        inside = ", ".join(f"{field}: {item}" for field, item in fields)
        return f"{self.name.qualname}({inside})"


class CellsKey(NamedTuple):
    """The type of a counter or a barrier."""

    kind: str

    def __str__(self) -> str:
        return self.kind


class NoneKey(NamedTuple):
    """The type of None."""

    def __str__(self) -> str:
        return "None"


Key = ArrayKey | NumberKey | TupleKey | NamedTupleKey | CellsKey | NoneKey
Keys = tuple[Key, ...]

_NONE = NoneKey()
_INT = NumberKey(np.dtype(np.int64))
_FLOAT = NumberKey(np.dtype(np.float64))


def array_key(array: np.ndarray[Any, Any], axis: int = WHOLE) -> ArrayKey:
    """Return the type of an array, or of its chunks along an axis.

    Examples
    --------
    >>> a = np.zeros((4, 6))
    >>> print(array_key(a), array_key(a, axis=0), array_key(a, axis=1))
    array(float64, 2d, C) array(float64, 2d, C) array(float64, 2d, A)
    """
    flags = array.flags
    # A chunk of one element along the axis may be contiguous by accident. The layout
    # must hold for every chunk.
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
    """Return the type of an argument that is not cut into chunks.

    Raises
    ------
    TypeError
        A kernel cannot take such an argument.
    """
    if type(value) is float:
        return _FLOAT
    if type(value) is int and _INT64.min <= value <= _INT64.max:
        return _INT
    if isinstance(value, np.ndarray):
        check_subclass(value)
        return array_key(value)
    if value is None:
        return _NONE
    if isinstance(value, _CELLS):
        return CellsKey(type(value).__name__)
    if isinstance(value, tuple) and not any(isinstance(one, _CELLS) for one in value):
        if type(value) is tuple:
            return TupleKey(tuple(map(key_of, value)))
        if is_named(type(value)):
            return NamedTupleKey(tuple(map(key_of, value)), name_of(type(value)))
    if isinstance(value, (bool, int, complex, np.generic)):
        dtype = np.asarray(value).dtype
        if dtype.kind in "biufcmM":
            return NumberKey(dtype)
    if callable(value) and not isinstance(value, type):
        raise TypeError(
            f"a kernel takes no functions as arguments, got {value!r}; let the kernel "
            "call it as a global or closure variable"
        )
    raise TypeError(
        "expected arrays, numbers, tuples of these, None, counters or barriers as "
        f"arguments of a kernel, got {type(value).__name__}; pass its contents as "
        "numbers or arrays"
    )


def check_subclass(array: np.ndarray[Any, Any]) -> None:
    """Refuse an array with data outside its memory, such as a mask or a unit.

    Raises
    ------
    TypeError
        A kernel would see only the bare numbers of the array.
    """
    kind = type(array)
    if kind not in _PLAIN:
        raise TypeError(
            f"expected a plain array as argument of a kernel, got {kind.__module__}."
            f"{kind.__qualname__}: a kernel would see only its bare numbers; pass "
            "numpy.asarray(x) if these are enough, and a mask or similar data as an "
            "array of its own"
        )


# Returns the base and the offset of an array.
Place = Callable[[np.ndarray[Any, Any]], tuple[int, int]]


def array_slots(
    array: np.ndarray[Any, Any], place: tuple[int, int], axis: int = WHOLE
) -> list[int]:
    """Return the slots of an array that lies at `place`."""
    return [*place, axis, *array.shape, *array.strides]


def number_slots(value: object, key: NumberKey) -> list[int]:
    """Return the slots of a number."""
    raw = np.asarray(value, key.dtype).tobytes()
    raw = raw.ljust(-(-len(raw) // WORD) * WORD, b"\0")
    words: list[int] = np.frombuffer(raw, np.int64).tolist()
    return words


def slots_of(value: Any, key: Key, place: Place) -> list[int]:
    """Return the slots of an argument that is not cut into chunks."""
    if isinstance(key, NumberKey):
        return number_slots(value, key)
    if isinstance(key, ArrayKey):
        return array_slots(value, place(value))
    if isinstance(key, (TupleKey, NamedTupleKey)):
        slots: list[int] = []
        for item, item_key in zip(value, key.items, strict=True):
            slots += slots_of(item, item_key, place)
        return slots
    if isinstance(key, CellsKey):
        cells = value._cells
        return array_slots(cells, place(cells))
    return []


def absolute(array: np.ndarray[Any, Any]) -> tuple[int, int]:
    """Return the place of an array for a process where base 0 is address 0."""
    return 0, array.__array_interface__["data"][0]
