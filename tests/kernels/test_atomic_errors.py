"""Atomic operations that cannot be: typed errors, the same in kernels."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from atomic_calls import in_kernel, in_python

from sharray.native import atomic

pytestmark = pytest.mark.slow


@pytest.fixture(params=[in_python, in_kernel])
def called(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[in_python, in_kernel])
def add(request: pytest.FixtureRequest) -> Any:
    return request.param("add")


def read_only(dtype: str) -> Any:
    array = np.zeros(3, dtype)
    array.flags.writeable = False
    return array


REFUSED: list[tuple[str, Any, Any, Any, type[Exception], str]] = [
    ("add", [1, 2], 0, 1, TypeError, "expected an array, got"),
    ("add", np.zeros(3, "?"), 0, True, TypeError, "as elements, got bool"),
    ("add", np.zeros(3, "c8"), 0, 1, TypeError, "as elements, got complex64"),
    ("add", np.zeros(3, "f2"), 0, 1, TypeError, "as elements, got float16"),
    ("add", np.zeros(3, "M8[s]"), 0, 1, TypeError, "as elements, got datetime64"),
    ("add", np.zeros(3, "i4,i4"), 0, 1, TypeError, "or a field: records"),
    ("and_", np.zeros(3), 0, 1, TypeError, "64 bits as elements, got float64"),
    ("or_", np.zeros(3), 0, 1, TypeError, "64 bits as elements, got float64"),
    ("xor", np.zeros(3, "f4"), 0, 1, TypeError, "64 bits as elements, got float32"),
    ("add", np.zeros(3, "i8"), 0, 1.5, TypeError, "an integer for elements of int64"),
    ("min", np.zeros(3, "u1"), 0, 1j, TypeError, "an integer for elements of uint8"),
    ("store", np.zeros(3), 0, 1j, TypeError, "a real number for elements of float64"),
    ("add", read_only("i8"), 0, 1, ValueError, "expected a writable array"),
    ("store", read_only("f4"), 0, 1, ValueError, "open it with mode='r\\+'"),
    ("add", np.zeros((3, 3)), 0, 1, IndexError, "for each"),
    ("add", np.zeros(3), (0, 0), 1, IndexError, "for each"),
]


@pytest.mark.parametrize(
    ("operation", "array", "index", "value", "error", "message"), REFUSED
)
@pytest.mark.filterwarnings("ignore:\nEncountered the use of a type")
def test_what_cannot_be_is_an_error(
    operation: str, array: Any, index: Any, value: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=f"{operation}: expected") as found:
        in_python(operation)(array, index, value)
    assert found.match(message)
    with pytest.raises(numba.TypingError, match=f"{operation}: expected") as found:
        in_kernel(operation)(array, index, value)
    assert found.match(message)


def test_values_of_compare_exchange_are_checked(called: Any) -> None:
    for values in [(1.5, 1), (1, 1.5)]:
        with pytest.raises((TypeError, numba.TypingError), match="an integer for"):
            called("compare_exchange")(np.zeros(3, "i8"), 0, *values)


def test_an_index_must_be_an_integer(add: Any) -> None:
    for index in (1.0, slice(1), None):
        with pytest.raises((TypeError, numba.TypingError), match="integer"):
            add(np.zeros(3), index, 1)


def test_elements_that_are_not_aligned_are_refused(add: Any) -> None:
    shifted = np.zeros(33, "u1")[1:].view("i8")
    packed = np.zeros(3, [("x", "u1"), ("n", "i4")])
    for array, index in [(shifted, 0), (packed["n"], 1)]:
        with pytest.raises(ValueError, match="add: expected an element whose address"):
            add(array, index, 1)
        assert not array.any()
    assert add(packed["x"], 1, 7) == 0


def test_read_only_elements_can_be_loaded(called: Any) -> None:
    assert called("load")(read_only("f8"), 1) == 0


@pytest.mark.parametrize("index", [(3, 0), (-4, 0), (0, 2), (0, -3)])
def test_an_index_must_be_in_bounds(index: Any, add: Any) -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        add(np.zeros((3, 2)), index, 1)


@pytest.mark.parametrize("value", [300, -1, np.int64(256), 2**80])
def test_python_never_cuts_off_an_integer(value: Any) -> None:
    array = np.zeros(1, "u1")
    with pytest.raises(OverflowError):
        atomic.add(array, 0, value)
    assert array[0] == 0


def test_python_takes_integers_of_this_machine_only() -> None:
    foreign = np.zeros(3, np.dtype("i8").newbyteorder())
    with pytest.raises(TypeError, match="expected integers"):
        atomic.add(foreign, 0, 1)
