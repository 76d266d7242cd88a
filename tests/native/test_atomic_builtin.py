"""Built-in functions do the same as those in Python, and leave errors to them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh
from sharray.native import array_layout, atomic, atomic_builtin, atomic_elements
from sharray.native.atomic_operations import OPERATIONS

DTYPES = [*"bBhHiIlLqQfd", "?", "e", "g", ">i4", ">f8", "F", "S3", "M8[s]"]
OVERFLOW = "ignore:overflow encountered:RuntimeWarning"


class _Int(int):
    pass


class _Array(np.ndarray):
    pass


def _frozen(dtype: str) -> Any:
    array = np.zeros(4, dtype)
    array.flags.writeable = False
    return array


def _shifted(dtype: str) -> Any:
    """Return elements that are not aligned, if they are larger than a byte."""
    nbytes = 4 * np.dtype(dtype).itemsize
    return np.zeros(nbytes + 1, "u1")[1:].view(dtype)


LAYOUTS: dict[str, Callable[[str], Any]] = {
    "flat": lambda dtype: np.zeros(24, dtype),
    "reversed": lambda dtype: np.zeros(24, dtype)[::-2],
    "square": lambda dtype: np.zeros((4, 6), dtype).T[1:, ::2],
    "cube": lambda dtype: np.zeros((2, 3, 4), dtype),
    "scalar": lambda dtype: np.zeros((), dtype),
    "none": lambda dtype: np.zeros((0, 3), dtype),
    "frozen": _frozen,
    "shifted": _shifted,
    "repeated": lambda dtype: np.broadcast_to(np.zeros(1, dtype), 5),
    "subclass": lambda dtype: np.zeros(24, dtype).view(_Array),
    "masked": lambda dtype: np.ma.masked_array(np.zeros(4, dtype), [0, 1, 0, 1]),
    "shared": lambda dtype: sh.zeros((2, 5), dtype)[:, 1:],
    "list": lambda dtype: np.zeros(3, dtype).tolist(),
}


_integers = st.one_of(
    st.integers(-10, 10),
    st.integers(-(2**70), 2**70),
    st.sampled_from(
        [
            n + d
            for e in (7, 8, 15, 16, 31, 32, 53, 63, 64)
            for n in (2**e, -(2**e))
            for d in (-1, 0, 1)
        ]
    ),
)
_values = st.one_of(
    _integers,
    st.floats(),
    st.sampled_from([3.4028235677973366e38, -3.4028235677973362e38, 1e39, 1e-50]),
    st.booleans(),
    st.sampled_from([np.int8(5), np.uint64(2**63), np.float32(0.5), np.bool_(True)]),
    st.sampled_from([None, "7", 1j, _Int(3), [1], np.zeros(1)]),
)
_one = st.one_of(
    st.integers(-7, 7),
    st.sampled_from([2**40, -(2**63), 2**63, 2**64, 2**80, True, _Int(1), 1.0, None]),
    st.sampled_from([np.int64(1), np.uint8(2), np.int8(-1), slice(None), ..., "x"]),
)
_indices = st.one_of(_one, st.lists(_one, max_size=4).map(tuple), st.just([1]))


def _outcome(function: Any, array: Any, *rest: Any) -> Any:
    """Return all that a call does: result, error, and the bytes of the array."""
    try:
        found = function(array, *rest)
    except Exception as error:
        found = type(error), str(error)
    parts = found if isinstance(found, tuple) else (found,)
    described = [
        (type(part), part.tobytes() if isinstance(part, np.generic) else part)
        for part in parts
    ]
    values = array if isinstance(array, list) else np.asarray(array).tobytes()
    return described, values


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.filterwarnings(OVERFLOW)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_all_calls_have_the_same_outcome(operation: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    layout = data.draw(st.sampled_from(sorted(LAYOUTS)))
    index = data.draw(_indices)
    count = OPERATIONS[operation].values
    number = data.draw(st.sampled_from([count] * 8 + [count + 1, max(0, count - 1)]))
    own = np.zeros(1, dtype).dtype
    if own.kind in "iuf" and own.isnative:
        several = st.one_of(_values, hnp.from_dtype(own), hnp.from_dtype(own))
    else:
        several = _values
    values = [data.draw(several) for _ in range(number)]
    fast = getattr(atomic_elements.CALLS, operation)
    slow = atomic_elements.function_of(operation)
    for _ in range(2):  # again, on what the first call has left
        one, other = LAYOUTS[layout](dtype), LAYOUTS[layout](dtype)
        found = _outcome(fast, one, index, *values)
        assert found == _outcome(slow, other, index, *values)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_usual_calls_do_not_reach_python(operation: str) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError(arguments)

    fast = atomic_builtin.make(operation, refuse)
    count = OPERATIONS[operation].values
    for char in "bBhHiIlLqQfd":
        dtype = np.dtype(char)
        if not OPERATIONS[operation].takes(dtype.kind, dtype.itemsize):
            continue
        for array in (np.zeros(5, dtype), sh.zeros((2, 3), dtype)[:, 1:]):
            index = (1,) * array.ndim
            fast(array, index, *[1] * count)
            fast(array, tuple(map(np.int64, index)), *[dtype.type(1)] * count)
            fast(array, index if array.ndim > 1 else -1, *[1] * count)
            if dtype.kind == "f":
                fast(array, index, *[0.5] * count)


def test_counters_return_pythons_integers() -> None:
    counter = sh.Counter(2**63 - 2)
    assert [type(counter.add()), type(counter.value)] == [int, int]
    assert counter.add(2) == 2**63 - 1
    assert counter.value == -(2**63) + 1
    for value in (2**63, 1.5, None):
        with pytest.raises((OverflowError, TypeError)):
            counter.add(value)  # type: ignore[arg-type]
    assert counter.add(np.int64(1)) == -(2**63) + 1  # type: ignore[arg-type]


def test_no_references_are_lost_or_kept() -> None:
    array, index, value = np.zeros(3, "i8"), (1,), 10**6
    watched = [array, index, value, array.dtype, np.int64, None, True, False]
    calls = [
        lambda: atomic.add(array, index, value),
        lambda: atomic.store(array, index, value),
        lambda: atomic.load(array, index),
        lambda: atomic.compare_exchange(array, index, value, value),
        lambda: atomic.compare_exchange(array, index, 3, value),
    ]
    for call in calls:
        call()
    gc.collect()
    before = [sys.getrefcount(one) for one in watched]
    for call in calls:
        for _ in range(1000):
            call()
    gc.collect()
    after = [sys.getrefcount(one) for one in watched]
    assert max(abs(b - a) for a, b in zip(before, after, strict=True)) < 500


def test_results_are_objects_of_their_own() -> None:
    array = np.zeros(1, "f8")
    found = [atomic.add(array, 0, 1.0) for _ in range(5)]
    assert found == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_interpreters_with_another_layout_run_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def instead(*arguments: Any) -> Any:
        return arguments

    assert atomic_builtin.make("add", instead) is not instead
    monkeypatch.setattr(array_layout, "NDIM", 28)
    assert not array_layout.is_known()
    assert atomic_builtin.make("add", instead) is instead
    monkeypatch.undo()
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert atomic_builtin.make("add", instead) is instead
