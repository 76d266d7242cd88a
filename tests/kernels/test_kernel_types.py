"""Arguments and values of every type, in this process and through machine code."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from kernels_defined import first, length
from kernels_elsewhere import as_received, by_both_roads
from numba.core.errors import TypingError

import sharray as sh

pytestmark = pytest.mark.slow


NUMBERS = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16"]
DATES = ["M8[ns]", "M8[D]", "m8[s]"]
EXTREMES: dict[str, list[Any]] = {
    "b": [False, True],
    "f": [0.1, -0.0, np.inf, np.nan],
    "c": [0.1 - 2j, complex(np.nan, np.inf)],
    "M": ["1969-07-20", "NaT"],
    "m": [-5, "NaT"],
}


@sh.kernel
def give_back(x):
    return x


@sh.kernel
def copy_to(x, y):
    for i in range(x.shape[0]):
        y[i] = x[i]


@sh.kernel
def twice(x):
    return x, x


@sh.kernel
def nothing(x):
    x[0] = 1


def extremes(dtype: str) -> np.ndarray[Any, Any]:
    kind = np.dtype(dtype).kind
    if kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([limits.min, 0, 3, limits.max], dtype)
    return np.array(EXTREMES[kind], dtype)


def same(one: Any, other: Any) -> bool:
    """Return whether values are equal to the last bit, and of the same type."""
    a, b = np.asarray(one), np.asarray(other)
    return (
        type(one) is type(other) and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    )


@pytest.mark.parametrize("dtype", NUMBERS + DATES)
def test_numbers_arrive_and_return_unchanged(dtype: str) -> None:
    for value in extremes(dtype):
        here, there = by_both_roads(give_back, value)
        assert same(here, there)
        assert same(np.asarray(there, dtype), np.asarray(value))
        here, there = by_both_roads(twice, value)
        assert type(there) is tuple
        assert all(map(same, here, there))


@pytest.mark.parametrize("dtype", NUMBERS + DATES)
def test_arrays_are_read_and_written(dtype: str) -> None:
    x = extremes(dtype)
    copy_to.compile(x, x)
    for kernel in (copy_to, as_received(copy_to)):
        y = np.zeros_like(x)
        kernel(x, y)
        assert y.tobytes() == x.tobytes()


@pytest.mark.parametrize("value", [0, -(2**63), 2**63 - 1, True, 1.5, 2 - 1j, None])
def test_numbers_of_python_arrive(value: Any) -> None:
    here, there = by_both_roads(give_back, value)
    assert there == here == value
    assert type(there) is type(here)


def test_number_of_python_without_sign_arrives() -> None:
    kernel = sh.kernel(give_back.py_func).compile(2**63)  # here numba takes any int
    assert as_received(kernel)(2**64 - 1) == 2**64 - 1


@sh.kernel
def add_if_given(x, y=None):
    if y is None:
        return x
    return x + y


def test_none_is_an_argument_of_its_own_type() -> None:
    assert by_both_roads(add_if_given, 1) == (1, 1)
    assert by_both_roads(add_if_given, 1, 2) == (3, 3)
    assert by_both_roads(add_if_given, 1, None) == (1, 1)


def test_shared_array_is_taken_as_the_array_it_is() -> None:
    x = sh.array([1.0, 2.0])
    nothing(x)
    as_received(nothing)(x[1:])
    assert x.tolist() == [1, 1]


VIEWS: dict[str, Any] = {
    "C": lambda x: x,
    "F": lambda x: x.T,
    "rows backwards": lambda x: x[::-1],
    "steps": lambda x: x[::2, 1::2],
    "column": lambda x: x[:, 1],
    "new axis": lambda x: x[:, None],
    "empty": lambda x: x[:0],
    "empty inside": lambda x: x[:, 2:2],
    "one row": lambda x: x[1:2],
    "broadcast": lambda x: np.broadcast_to(x[0], (5, 4)),
    "three dimensions": lambda x: x.reshape(2, 2, 4).transpose(1, 0, 2),
    "field": lambda x: x.view([("a", "f8"), ("b", "f8")])["b"],
}


@sh.kernel
def describe(x):
    total = 0.0
    weight = 1.0
    for index in np.ndindex(x.shape):
        total += weight * x[index]
        weight += 1
    return total, x.size, x.ndim, x.shape[0], x.shape[-1], x.itemsize


@pytest.mark.parametrize("view", VIEWS)
def test_views_are_seen_as_in_python(view: str) -> None:
    x = VIEWS[view](np.arange(16.0).reshape(4, 4))
    assert by_both_roads(describe, x) == (describe.py_func(x),) * 2


@sh.kernel
def double_scalar(x):
    x[()] *= 2
    return x.ndim


def test_array_without_dimensions() -> None:
    x = np.array(3.0)
    assert by_both_roads(double_scalar, x) == (0, 0)
    assert x == 12


def test_text_of_fixed_length_is_compared() -> None:
    @sh.kernel
    def count_equal(x, y):
        found = 0
        for i in range(x.shape[0]):
            if x[i] == y[i]:
                found += 1
        return found

    for dtype in ("S3", "U3"):
        x, y = np.array(["a", "bcd", ""], dtype), np.array(["a", "bce", ""], dtype)
        assert by_both_roads(count_equal, x, y) == (2, 2)


def read_only(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x.flags.writeable = False
    return x


def test_read_only_array_can_be_read_but_not_written() -> None:
    x = read_only(np.array([2.0, 3.0]))
    assert by_both_roads(first, x) == (2.0, 2.0)
    nothing.compile(np.zeros(2))
    for kernel in (nothing, as_received(nothing, may_compile=True)):
        with pytest.raises(TypingError, match="readonly array"):
            kernel(x)
    with pytest.raises(TypingError, match="readonly array"):
        nothing.compile(x)
    assert x.tolist() == [2, 3]


@sh.kernel
def from_tuple(x):
    (a, b), _, d = x
    return a[0] + b, d


def test_tuples_are_arguments_whatever_is_in_them() -> None:
    x = ((np.array([1.0, 2.0]), 3), None, 2j)
    assert by_both_roads(from_tuple, x) == ((4.0, 2j),) * 2


@sh.kernel
def sum_of(x):
    found = 0
    for value in x:
        found += value
    return found


def test_tuple_of_one_type_can_be_looped_over() -> None:
    kernel = sh.kernel(sum_of.py_func).compile((1, 2))
    assert as_received(kernel)((3, 4)) == 7
    assert by_both_roads(length, ()) == (0, 0)


@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaPendingDeprecationWarning")
@pytest.mark.parametrize("value", ["text", b"text", [1, 2]])
def test_what_only_numba_takes_is_compiled_for_elsewhere(value: Any) -> None:
    length.compile(np.zeros(1))
    assert length(value) == len(value)
    assert as_received(length, may_compile=True)(value) == len(value)


@pytest.mark.parametrize("dtype", [">f8", ">i4", "g", "G", "V4", "f2", "O", "T"])
def test_dtype_that_numba_has_not_is_a_type_error(dtype: str) -> None:
    with pytest.raises(TypeError, match=r"numba has no kernels for dtype.*; expected"):
        length.compile(np.zeros(3, dtype))
    if np.dtype(dtype).kind in "fc" and np.dtype(dtype).isnative:
        with pytest.raises(TypeError, match="numba has no kernels for dtype"):
            give_back.compile(np.zeros(1, dtype)[0])


def test_type_of_numba_that_kernels_do_not_take_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"expected numba's type.*got unicode_type"):
        length.compile(numba.types.unicode_type)
