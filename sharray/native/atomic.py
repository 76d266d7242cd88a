"""Atomic operations on elements of arrays, from Python and from numba kernels.

While one process changes an element so, no other one can come in between: nothing
is lost when many add to the same element. The arrays may be shared or not, of
integers of 8, 16, 32 or 64 bits, float32 or float64, of any layout, and fields of
structured arrays, if they are aligned: ``atomic.add(records["count"], i, 1)``.

An index is an integer, or a tuple of one for each dimension; negative ones count
from the end, and others than there are raise IndexError, in kernels as well.
Functions that change an element return what it was before, from Python as the NumPy
scalar that ``array[index]`` would have been.

All operations are sequentially consistent: every process sees all of them in one
order, and what was written to other elements before one of them is seen by those
that see its effect. Ordinary reads and writes promise none of that.

The first call of each kind compiles it, which takes some milliseconds.
"""

from __future__ import annotations

from typing import Any

from .atomic_elements import Array, Index, operate

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
    """Add to an element; integers wrap around, as NumPy's do.

    Parameters
    ----------
    array : ndarray
        A writable array.
    index : int or tuple of int
        Of the element.
    value : int or float
        What to add. In kernels an integer is converted to the dtype of the array
        as in an assignment.

    Returns
    -------
    scalar
        The element before.

    Raises
    ------
    TypeError
        The array has elements of another kind, or the value is none of them;
        in kernels it is numba's ``TypingError``, when they are compiled.
    ValueError
        The array is read-only (in kernels a ``TypingError``), or the element is
        not aligned.
    IndexError
        There is no such element.
    OverflowError
        The value does not fit into an element.

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
    return operate("add", array, index, value)[0]


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
    return operate("sub", array, index, value)[0]


def min(array: Array, index: Index, value: Any) -> Any:
    """Replace an element by a smaller value; see `add` for the parameters.

    A number is smaller than NaN, as for `numpy.fmin`; which of 0.0 and -0.0 is
    smaller is not defined.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> lowest = sh.full(1, float("inf"))
    >>> atomic.min(lowest, 0, 2.5), lowest[0]
    (np.float64(inf), np.float64(2.5))
    """
    return operate("min", array, index, value)[0]


def max(array: Array, index: Index, value: Any) -> Any:
    """Replace an element by a larger value; see `add` for the parameters.

    A number is larger than NaN, as for `numpy.fmax`; which of 0.0 and -0.0 is
    larger is not defined.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> highest = sh.zeros(1, "u1")
    >>> atomic.max(highest, 0, 200), highest[0]
    (np.uint8(0), np.uint8(200))
    """
    return operate("max", array, index, value)[0]


def and_(array: Array, index: Index, value: Any) -> Any:
    """Keep those bits of an integer that `value` has as well; see `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> flags = sh.full(1, 0b1100, "u4")
    >>> atomic.and_(flags, 0, 0b0110), flags[0]
    (np.uint32(12), np.uint32(4))
    """
    return operate("and_", array, index, value)[0]


def or_(array: Array, index: Index, value: Any) -> Any:
    """Set the bits of an integer that `value` has; see `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> flags = sh.full(1, 0b1100, "u4")
    >>> atomic.or_(flags, 0, 0b0110), flags[0]
    (np.uint32(12), np.uint32(14))
    """
    return operate("or_", array, index, value)[0]


def xor(array: Array, index: Index, value: Any) -> Any:
    """Flip the bits of an integer that `value` has; see `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> flags = sh.full(1, 0b1100, "u4")
    >>> atomic.xor(flags, 0, 0b0110), flags[0]
    (np.uint32(12), np.uint32(10))
    """
    return operate("xor", array, index, value)[0]


def exchange(array: Array, index: Index, value: Any) -> Any:
    """Replace an element, and return what it was; see `add` for the parameters.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> a = sh.full(3, 7, "i2")
    >>> atomic.exchange(a, 1, 8), a[1]
    (np.int16(7), np.int16(8))
    """
    return operate("exchange", array, index, value)[0]


def compare_exchange(
    array: Array, index: Index, expected: Any, desired: Any
) -> tuple[Any, bool]:
    """Replace an element if it is what is expected.

    Bits are compared, not numbers: a NaN is equal to the same NaN, and 0.0 is not
    equal to -0.0. So a loop that expects what it has loaded comes to an end.

    Parameters
    ----------
    array : ndarray
        A writable array.
    index : int or tuple of int
        Of the element.
    expected : int or float
        What the element must be.
    desired : int or float
        What it is to be.

    Returns
    -------
    old : scalar
        The element before.
    replaced : bool
        Whether that was the expected one.

    Raises
    ------
    TypeError, ValueError, IndexError, OverflowError
        As of `add`.

    Examples
    --------
    A lock, free if 0, for which every party has a number of its own:

    >>> import sharray as sh
    >>> from sharray import atomic
    >>> lock = sh.zeros(1, "i4")
    >>> atomic.compare_exchange(lock, 0, 0, 1)
    (np.int32(0), True)
    >>> atomic.compare_exchange(lock, 0, 0, 2)
    (np.int32(1), False)
    """
    cells = operate("compare_exchange", array, index, expected, desired)
    return cells[0], cells[:1].tobytes() == cells[1:2].tobytes()


def load(array: Array, index: Index) -> Any:
    """Read an element that others write.

    An element that a loop waits for must be read so. In a kernel, the compiler
    reads ``while flags[0] == 0: pass`` but once, before the loop, which then never
    ends.

    Parameters
    ----------
    array : ndarray
        An array; it may be read-only.
    index : int or tuple of int
        Of the element.

    Returns
    -------
    scalar
        The element.

    Raises
    ------
    TypeError, ValueError, IndexError
        As of `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> atomic.load(sh.full(3, 2.5), 1)
    np.float64(2.5)
    """
    return operate("load", array, index)[0]


def store(array: Array, index: Index, value: Any) -> None:
    """Write an element that others read, after all that was written before.

    Parameters
    ----------
    array : ndarray
        A writable array.
    index : int or tuple of int
        Of the element.
    value : int or float
        What it is to be.

    Raises
    ------
    TypeError, ValueError, IndexError, OverflowError
        As of `add`.

    Examples
    --------
    >>> import sharray as sh
    >>> from sharray import atomic
    >>> ready = sh.zeros(1, "u1")
    >>> atomic.store(ready, 0, 1)
    >>> ready[0]
    np.uint8(1)
    """
    operate("store", array, index, value)
