"""Compiled functions on words do the same as Python."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import kernels_words as words
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sharray as sh
from sharray.native import atomic
from sharray.native.machine_code import load
from sharray.native.object_file import undefined_symbols
from sharray.native.words import compile_words

pytestmark = pytest.mark.slow


INT64 = st.integers(-(2**63), 2**63 - 1)


@functools.cache
def compiled(function: Any) -> Any:
    """Return a compiled function that takes integers, and arrays by address."""
    address, merge = load(compile_words(function))
    assert merge == 0
    kinds = [ctypes.c_int64] * words.arguments_of(function)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(address)
    return lambda *arguments: call(
        *(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments)
    )


@pytest.mark.parametrize("function", words.ON_NUMBERS, ids=lambda f: f.__name__)
@given(a=INT64 | st.integers(-20, 20), b=INT64 | st.integers(-20, 20))
def test_numbers_give_what_python_gives(function: Any, a: int, b: int) -> None:
    if function is words.bits:
        a >>= 4  # as what a shift loses comes back in Python
    if function in (words.calls, words.loops):
        a, b = a >> 34, b >> 34  # as they compare what may have overflowed
    if function is words.extremes:
        a, b = a >> 2, b >> 2
    expected = function(a, b)
    assert compiled(function)(a, b) == words.as_words(expected or 0)


@pytest.mark.parametrize("function", words.ON_ARRAYS, ids=lambda f: f.__name__)
@given(values=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=8))
def test_arrays_are_read_and_written_as_in_python(
    function: Any, values: list[int]
) -> None:
    there, here = np.array(values, np.int64), np.array(values, np.int64)
    expected = function(here, len(values))
    assert compiled(function)(there, len(values)) == expected
    assert there.tolist() == here.tolist()


def test_address_is_that_of_the_element() -> None:
    x = np.zeros(5, np.int64)
    found = compiled(words.address_of_element)(x, 4)
    assert found == x[3:].ctypes.data == words.address_of_element(x, 4)


def test_code_needs_the_c_library_only_and_has_names_of_its_own() -> None:
    one, other = compile_words(words.pauses), compile_words(words.pauses)
    assert one.entry != other.entry
    assert set(undefined_symbols(one.content)) <= {"clock_gettime", "syscall"}
    assert undefined_symbols(compile_words(words.sort).content) == []


@pytest.mark.parametrize("first", [words.calls, words.square_plus])
def test_of_two_functions_one_may_call_the_other(first: Any) -> None:
    (second,) = {words.calls, words.square_plus} - {first}
    code = compile_words(first, second)
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    for function, address in zip((first, second), load(code), strict=True):
        assert kind(address)(3, 4) == function(3, 4)


# -- what differs from Python --------------------------------------------------


def either(a, b):
    c = a or b
    return c


def both(a, b):
    return a and b


def count_up_twice(x):
    x[atomic.add(x, 0, 1)] += 5
    return x[0]


def store_what_a_call_changes(x):
    x[x[0]] = atomic.add(x, 0, 1) + 7
    return x[1]


def skip_the_second(x):
    if x[1] != 0 and atomic.add(x, 0, 1) != 0:
        return -1
    return x[0]


def look_behind_a_guard(x, n):
    if n > 0 and x[n - 1] > 0:
        return 1
    return 0


@pytest.mark.parametrize("function", [either, both])
def test_and_and_or_give_a_value_or_are_refused(function: Any) -> None:
    try:
        call = compiled(function)
    except sh.KernelError:
        return
    for a, b in [(5, 6), (0, 6), (5, 0), (0, 0)]:
        assert call(a, b) == function(a, b)


@pytest.mark.parametrize(
    "function", [count_up_twice, store_what_a_call_changes, skip_the_second]
)
def test_effects_happen_once_and_in_order_or_are_refused(function: Any) -> None:
    there, here = np.array([1, 0, 3, 4]), np.array([1, 0, 3, 4])
    try:
        call = compiled(function)
    except sh.KernelError:
        return
    assert call(there) == function(here)
    assert there.tolist() == here.tolist()


def test_guarded_element_is_compared() -> None:
    x = np.array([-1, 3])
    for n in (0, 1, 2):
        assert compiled(look_behind_a_guard)(x, n) == look_behind_a_guard(x, n)
