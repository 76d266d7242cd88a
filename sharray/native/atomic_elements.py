"""Atomic operations called from Python: check arguments, and call machine code.

Most calls run in built-in functions: see `sharray.native.atomic_builtin`. The functions
here do the same for all arguments, and raise the errors.
"""

from __future__ import annotations

import ctypes
import functools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from .atomic_operations import ON_ELEMENTS, OPERATIONS

if TYPE_CHECKING:
    from .atomic_native import Operation

Array = np.ndarray[Any, Any]
Index = SupportsIndex | tuple[SupportsIndex, ...]


class Calls:
    """The functions of `sharray.native.atomic`, each made at its first call.

    Parameters
    ----------
    as_int : bool
        Whether they return Python's integers, and not NumPy's; for int64.
    """

    def __init__(self, *, as_int: bool = False) -> None:
        self._as_int = as_int

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        # Python calls this only if there is no attribute yet.
        if operation not in OPERATIONS:
            raise AttributeError(f"there is no operation {operation!r}")
        from . import atomic_builtin  # llvmlite is imported on first use only

        checked = function_of(operation, as_int=self._as_int)
        made = atomic_builtin.make(operation, checked, as_int=self._as_int)
        setattr(self, operation, made)
        return made


CALLS = Calls()
CALLS_AS_INT = Calls(as_int=True)


def function_of(operation: str, *, as_int: bool = False) -> Callable[..., Any]:
    """Return a function of array, index and values, for any arguments; see `Calls`."""

    def call(array: Array, index: Index, *values: Any) -> Any:
        cells = operate(operation, array, index, *values)
        if operation == "store":
            return None
        old = int(cells[0]) if as_int else cells[0]
        if operation == "compare_exchange":
            return old, cells[:1].tobytes() == cells[1:2].tobytes()
        return old

    return call


def operate(operation: str, array: Array, index: Index, *values: Any) -> Array:
    """Run an atomic operation on one element.

    Parameters
    ----------
    operation : str
        Name of a function of `sharray.native.atomic`.
    array : ndarray
        The array.
    index : int or tuple of int
        Index of the element, an integer for each dimension.
    *values : int or float
        The values that the operation takes.

    Returns
    -------
    ndarray
        The old value, followed by `values` as elements.

    Raises
    ------
    TypeError, ValueError, IndexError, OverflowError
        See `sharray.native.atomic.add`.
    """
    check_array(operation, array)
    address = address_of(operation, array, index)
    dtype = array.dtype
    cells = np.zeros(3, dtype)
    for position, value in enumerate(values, 1):
        cells[position] = _as_element(operation, value, dtype)
    run = _machine_function(operation, dtype.kind, dtype.itemsize)
    run(address, _address(cells))
    return cells


@functools.cache
def _machine_function(operation: str, kind: str, nbytes: int) -> Operation:
    from . import atomic_native  # llvmlite is imported on first use only

    return atomic_native.compile_operation(operation, kind, nbytes)


def check_array(operation: str, array: Array) -> None:
    """Refuse an array whose elements `operation` does not support."""
    known = ON_ELEMENTS[operation]
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{operation}: expected an array, got {type(array).__name__}; pass the "
            "array and the index of an element"
        )
    dtype = array.dtype
    if not dtype.isnative or not known.takes(dtype.kind, dtype.itemsize):
        raise TypeError(
            f"{operation}: expected {known.elements} as elements, "
            f"got {dtype}; use another dtype, or a field: records['count']"
        )
    if known.writes and not array.flags.writeable:
        raise ValueError(
            f"{operation}: expected a writable array, got a read-only one; open it "
            "with mode='r+'"
        )


def address_of(operation: str, array: Array, index: Index) -> int:
    """Return the address of an element; refuse one that is not aligned."""
    indices = index if isinstance(index, tuple) else (index,)
    if len(indices) != array.ndim:
        raise IndexError(
            f"{operation}: expected {array.ndim} indices, one for each dimension, "
            f"got {len(indices)}; pass a tuple of integers"
        )
    # With an ellipsis, the result is an array, which has an address.
    key: Any = (*map(operator.index, indices), ...)
    address = _address(np.asarray(array)[key])
    if address % array.itemsize:
        raise ValueError(misaligned(operation))
    return address


def _address(array: Array) -> int:
    if array.flags.writeable:  # ten times faster than `array.ctypes`
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    return int(array.ctypes.data)


def misaligned(operation: str) -> str:
    """Return the error text for an element that is not aligned."""
    return (
        f"{operation}: expected an element whose address is a multiple of its size, "
        "got one that is not aligned; make structured dtypes with align=True"
    )


def _as_element(operation: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a value for NumPy to store; refuse one that it would truncate."""
    if dtype.kind == "f":
        if isinstance(value, (int, float, np.integer, np.floating, np.bool_)):
            return value
        expected = "a real number"
    else:
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, int):
            return plain
        expected = "an integer"
    raise TypeError(
        f"{operation}: expected {expected} for elements of {dtype}, got "
        f"{type(value).__name__}; convert it"
    )
