"""Atomic operations: NumPy's results, from Python and from kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import workers
from atomic_calls import in_kernel, in_python
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh
from sharray.native import atomic

pytestmark = pytest.mark.slow


INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FLOATS = ["f4", "f8"]
COMPILED = ["i1", "u2", "i8", "f4"]
BITWISE = {"and_": np.bitwise_and, "or_": np.bitwise_or, "xor": np.bitwise_xor}
UPDATES: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "min": np.fmin,
    "max": np.fmax,
    "exchange": lambda old, new: new,
    **BITWISE,
}
CASES = [(operation, dtype) for operation in UPDATES for dtype in INTEGERS] + [
    (operation, dtype)
    for operation in UPDATES
    for dtype in FLOATS
    if operation not in BITWISE
]


@pytest.fixture(params=[in_python, in_kernel])
def called(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[in_python, in_kernel])
def add(request: pytest.FixtureRequest) -> Any:
    return request.param("add")


def callers(dtype: str) -> list[Any]:
    """Kernels of some types only: it is numba that takes the time."""
    return [in_python, in_kernel] if dtype in COMPILED else [in_python]


def neighbours(dtype: str, values: list[Any]) -> Any:
    """Three elements that are not contiguous: the middle one is to be changed."""
    return np.array([*values, 0, 0, 0], dtype)[::2]


def bits(value: Any) -> bytes:
    return bytes(value.tobytes())


# -- what they do -------------------------------------------------------------


@pytest.mark.parametrize(("operation", "dtype"), CASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_updates_do_what_numpy_does(
    operation: str, dtype: str, data: st.DataObject
) -> None:
    numbers = hnp.from_dtype(np.dtype(dtype))
    values = np.array(data.draw(st.lists(numbers, min_size=4, max_size=4)), dtype)
    index = data.draw(st.integers(-3, 2))
    expected = neighbours(dtype, list(values[:3]))
    old, value = expected[index], values[3]
    with np.errstate(all="ignore"):
        expected[index] = UPDATES[operation](old, value)
    for call in callers(dtype):
        array = neighbours(dtype, list(values[:3]))
        found = call(operation)(array, index, value)
        np.testing.assert_array_equal(array, expected)
        np.testing.assert_array_equal(found, old)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_compare_exchange_load_and_store_keep_all_bits(
    dtype: str, data: st.DataObject
) -> None:
    numbers = hnp.from_dtype(np.dtype(dtype))
    old, other, new = np.array([data.draw(numbers) for _ in range(3)], dtype)
    expected = data.draw(st.sampled_from([old, other]))
    equal = bits(expected) == bits(old)
    for call in callers(dtype):
        array = np.array([0, 0, 1], dtype)
        call("store")(array, 1, old)
        assert bits(array[1]) == bits(old)
        np.testing.assert_array_equal(call("load")(array, 1), old)
        found, replaced = call("compare_exchange")(array, 1, expected, new)
        assert replaced is equal
        np.testing.assert_array_equal(found, old)
        assert bits(array[1]) == bits(new if equal else old)
        assert array.tolist()[::2] == [0, 1]


def test_nan_and_zero_are_compared_by_their_bits(called: Any) -> None:
    array = np.array([np.nan, 0.0])
    assert called("compare_exchange")(array, 0, np.nan, 1.0)[1] is True
    assert called("compare_exchange")(array, 1, -0.0, 1.0)[1] is False
    assert array.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("operation", ["add", "load", "exchange"])
def test_python_gets_the_scalar_that_indexing_gives(operation: str) -> None:
    for dtype in INTEGERS + FLOATS:
        array = np.array([3], dtype)
        given = [] if operation == "load" else [1]
        found = in_python(operation)(array, 0, *given)
        assert type(found) is type(array[0])
    assert in_python("store")(array, 0, 1) is None


def layouts() -> dict[str, tuple[Any, Any]]:
    """Arrays of zeros, and the index of an element that is not the first."""
    records = np.zeros((2, 3), np.dtype([("x", "u1"), ("n", "i8")], align=True))
    lucky = np.zeros(3, [("n", "i8"), ("m", "i8")])
    return {
        "C": (np.zeros((3, 4), "i8"), (1, 2)),
        "F": (np.zeros((3, 4), "i8", order="F"), (1, -2)),
        "strided": (np.zeros((6, 8), "i8")[::2, 1::3], (-1, 1)),
        "reversed": (np.zeros(5, "i8")[::-1], 1),
        "transposed": (np.zeros((2, 3, 4), "i8").transpose(1, 2, 0), (2, -1, 1)),
        "0-d": (np.zeros((), "i8"), ()),
        "shared": (sh.zeros((3, 4), "i8")[1:], (0, 3)),
        "aligned field": (records["n"], (1, 1)),
        "field aligned by luck": (lucky["m"], np.uint8(2)),
    }


@pytest.mark.parametrize("name", layouts())
def test_layouts_and_indices(name: str, add: Any) -> None:
    array, index = layouts()[name]
    expected = np.array(array)
    for value in (5, True, np.bool_(True)):
        assert add(array, index, value) == expected[index]
        expected[index] += int(value)
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("align", [True, False])
def test_kernels_change_fields_of_records(align: bool) -> None:
    @numba.njit
    def count(records: Any, i: int) -> Any:
        atomic.add(records["n"], i, 2)
        return atomic.add(records.n, i, 3)

    fields = [("x", "u1"), ("n", "i8")] if align else [("n", "i8"), ("x", "u8")]
    records = sh.zeros(4, np.dtype(fields, align=align))
    assert count(records, -1) == 2
    assert records["n"].tolist() == [0, 0, 0, 5]


def test_loads_in_a_loop_see_what_others_store() -> None:
    @numba.njit
    def until(array: Any, limit: int) -> int:
        rounds = 0
        while atomic.load(array, 0) < limit:
            atomic.add(array, 0, 1)
            rounds += 1
        return rounds

    assert until(np.zeros(1, "i4"), 1000) == 1000


# -- in which interpreter -----------------------------------------------------


def test_importing_loads_no_compiler_and_calling_no_numba() -> None:
    code = """
import sys, numpy
from sharray import atomic
from sharray.kernels.numba import extension
from sharray.native import waiting
from sharray.sync import barrier, counter
print([name for name in ("numba", "llvmlite") if name in sys.modules])
atomic.add(numpy.zeros(3), 0, 1)
print([name for name in ("numba", "llvmlite") if name in sys.modules])
"""
    assert workers.run_python(code) == "[]\n['llvmlite']\n"


def test_kernels_that_are_not_compiled_do_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    code = """
import numba, numpy, sharray.kernels.numba.extension
from sharray import atomic
sharray.kernels.numba.extension.register()
@numba.njit
def kernel(a):
    return atomic.add(a, (0, -1), 2), atomic.compare_exchange(a, (0, 1), 7, 8)[1]
print(kernel(numpy.full((1, 2), 5, "u1")), type(kernel).__name__)
"""
    assert workers.run_python(code) == "(np.uint8(5), True) function\n"
