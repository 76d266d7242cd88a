"""Atomic operations on elements of arrays, from Python and from numba kernels.

An atomic operation is a single step for all other processes and threads. So no update
is lost if many add to the same element. Arrays may be shared or private, of any layout,
with integers of 8, 16, 32 or 64 bits, float32 or float64. A field of a structured array
works too, if it is aligned: ``atomic.add(records["count"], i, 1)``.

An index is an integer, or a tuple with an integer for each dimension. Negative indices
count from the end. An index out of bounds raises IndexError, in kernels as well.
Functions that change an element return its old value. In Python, that is the NumPy
scalar ``array[index]``.

All operations are sequentially consistent: all processes see them in the same order. A
process that sees the effect of an operation also sees all earlier stores of the process
that made it. Ordinary reads and writes guarantee neither.

The first call of each operation compiles it, which takes some milliseconds.
"""

from __future__ import annotations

from typing import Any

from .atomic_elements import CALLS, Array, Index

__all__ = [
    "add",
    "and_",
    "compare_exchange",
    "exchange",
    "load",
    "max",
    "min",
    "or_",
    "store",
    "sub",
    "xor",
]


def add(array: Array, index: Index, value: Any) -> Any:
    """Add to an element; integers wrap around, like NumPy's.

    Parameters
    ----------
    array : ndarray
        A writable array.
    index : int or tuple of int
        Index of the element.
    value : int or float
        The number to add. Kernels convert an integer to the dtype of the array, like
        an assignment.

    Returns
    -------
    scalar
        The old value of the element.

    Raises
    ------
    TypeError
        The dtype of the array is not supported, or the value does not fit its kind. In
        kernels this is numba's ``TypingError``, raised when they are compiled.
    ValueError
        The array is read-only (in kernels a ``TypingError``), or the element is
        not aligned.
    IndexError
        The index is out of bounds.
    OverflowError
        The value is out of range for the dtype.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> counts = sh.zeros((2, 3), "i8")
    >>> atomic.add(counts, (1, 2), 5)
    np.int64(0)
    >>> atomic.add(counts, (-1, -1), 1)
    np.int64(5)
    """
    return CALLS.add(array, index, value)


def sub(array: Array, index: Index, value: Any) -> Any:
    """Subtract from an element; see `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> left = sh.full(1, 10, "i4")
    >>> atomic.sub(left, 0, 3), left[0]
    (np.int32(10), np.int32(7))
    """
    return CALLS.sub(array, index, value)


def min(array: Array, index: Index, value: Any) -> Any:
    """Replace an element by `value` if that is smaller; see `add` for the parameters.

    A number is smaller than NaN, as for `numpy.fmin`. The order of 0.0 and -0.0 is
    undefined.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> lowest = sh.full(1, float("inf"))
    >>> atomic.min(lowest, 0, 2.5), lowest[0]
    (np.float64(inf), np.float64(2.5))
    """
    return CALLS.min(array, index, value)


def max(array: Array, index: Index, value: Any) -> Any:
    """Replace an element by `value` if that is larger; see `add` for the parameters.

    A number is larger than NaN, as for `numpy.fmax`. The order of 0.0 and -0.0 is
    undefined.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> highest = sh.zeros(1, "u1")
    >>> atomic.max(highest, 0, 200), highest[0]
    (np.uint8(0), np.uint8(200))
    """
    return CALLS.max(array, index, value)


def and_(array: Array, index: Index, value: Any) -> Any:
    """Clear the bits of an integer that are not set in `value`; see `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> flags = sh.full(1, 0b1100, "u4")
    >>> atomic.and_(flags, 0, 0b0110), flags[0]
    (np.uint32(12), np.uint32(4))
    """
    return CALLS.and_(array, index, value)


def or_(array: Array, index: Index, value: Any) -> Any:
    """Set the bits of an integer that are set in `value`; see `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> flags = sh.full(1, 0b1100, "u4")
    >>> atomic.or_(flags, 0, 0b0110), flags[0]
    (np.uint32(12), np.uint32(14))
    """
    return CALLS.or_(array, index, value)


def xor(array: Array, index: Index, value: Any) -> Any:
    """Flip the bits of an integer that are set in `value`; see `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> flags = sh.full(1, 0b1100, "u4")
    >>> atomic.xor(flags, 0, 0b0110), flags[0]
    (np.uint32(12), np.uint32(10))
    """
    return CALLS.xor(array, index, value)


def exchange(array: Array, index: Index, value: Any) -> Any:
    """Replace an element, and return its old value; see `add` for the parameters.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> a = sh.full(3, 7, "i2")
    >>> atomic.exchange(a, 1, 8), a[1]
    (np.int16(7), np.int16(8))
    """
    return CALLS.exchange(array, index, value)


def compare_exchange(
    array: Array, index: Index, expected: Any, desired: Any
) -> tuple[Any, bool]:
    """Replace an element if it has the expected value.

    The bits are compared, not the numbers: a NaN equals the same NaN, and 0.0 does not
    equal -0.0. So a loop ends that expects the value that it has loaded.

    Parameters
    ----------
    array : ndarray
        A writable array.
    index : int or tuple of int
        Index of the element.
    expected : int or float
        The value that the element must have.
    desired : int or float
        The new value.

    Returns
    -------
    old : scalar
        The old value of the element.
    replaced : bool
        Whether the old value was the expected one.

    Raises
    ------
    TypeError, ValueError, IndexError, OverflowError
        See `add`.

    Examples
    --------
    A lock, free if 0, for which every party has its own number:

    >>> import sharray as sh
    >>> from sharray import atomic
    >>> lock = sh.zeros(1, "i4")
    >>> atomic.compare_exchange(lock, 0, 0, 1)
    (np.int32(0), True)
    >>> atomic.compare_exchange(lock, 0, 0, 2)
    (np.int32(1), False)
    """
    found: tuple[Any, bool] = CALLS.compare_exchange(array, index, expected, desired)
    return found


def load(array: Array, index: Index) -> Any:
    """Read an element that others write.

    Use it for an element that a loop waits for. In a kernel, the compiler may read the
    flag of ``while flags[0] == 0: pass`` only once, before the loop, which then never
    ends.

    Parameters
    ----------
    array : ndarray
        An array; it may be read-only.
    index : int or tuple of int
        Index of the element.

    Returns
    -------
    scalar
        The value of the element.

    Raises
    ------
    TypeError, ValueError, IndexError
        See `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> atomic.load(sh.full(3, 2.5), 1)
    np.float64(2.5)
    """
    return CALLS.load(array, index)


def store(array: Array, index: Index, value: Any) -> None:
    """Write an element that others read, after all earlier stores.

    Parameters
    ----------
    array : ndarray
        A writable array.
    index : int or tuple of int
        Index of the element.
    value : int or float
        The new value.

    Raises
    ------
    TypeError, ValueError, IndexError, OverflowError
        See `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> ready = sh.zeros(1, "u1")
    >>> atomic.store(ready, 0, 1)
    >>> ready[0]
    np.uint8(1)
    """
    CALLS.store(array, index, value)
