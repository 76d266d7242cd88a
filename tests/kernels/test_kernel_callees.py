"""Functions that kernels call, and globals that they use."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from kernels_defined import adder
from kernels_elsewhere import as_received, by_both_roads, in_fresh_python

import sharray as sh

pytestmark = pytest.mark.slow


SCALE = 5

# -- calling others -----------------------------------------------------------

add_one = adder(1)
add_ten = adder(10)


@numba.njit
def triple(x):
    return 3 * x


@sh.kernel
def call_others(x):
    return add_one(x), add_ten(x), triple(x), add_one(triple(x))


def test_kernel_calls_kernels_and_jitted_functions() -> None:
    assert by_both_roads(call_others, 5) == ((6, 15, 15, 16),) * 2
    received = as_received(call_others, may_compile=True)
    assert received(0.5) == (1.5, 10.5, 1.5, 2.5)


def test_jitted_function_calls_kernels() -> None:
    jitted = numba.njit(lambda x: add_one(x) * 2)
    assert jitted(4) == 10
    assert by_both_roads(sh.kernel(jitted), 4) == (10, 10)


def test_received_kernel_is_called_by_others() -> None:
    add_one(1)
    received = as_received(add_one, may_compile=True)
    assert sh.kernel(lambda x: received(x) + 5)(1) == 7


@sh.kernel
def factorial(n):
    if n < 2:
        return 1
    return n * factorial(n - 1)


@numba.njit
def fibonacci(n):
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


def test_kernel_calls_itself() -> None:
    assert by_both_roads(factorial, 10) == (math.factorial(10),) * 2
    assert as_received(factorial, may_compile=True)(np.int8(5)) == 120
    assert by_both_roads(sh.kernel(fibonacci), 10) == (55, 55)


def test_kernel_that_calls_itself_arrives_in_a_fresh_interpreter() -> None:
    factorial.compile(5)
    assert in_fresh_python(factorial, 5) == 120
    # Other types cannot be compiled there: numba itself fails, "unresolved symbol",
    # with any recursive function that was pickled.


def test_kernel_is_an_argument_of_no_kernel_but_a_global() -> None:
    with pytest.raises(TypeError, match="call it as a global"):
        call_others.compile(add_one)


# -- what stands outside ------------------------------------------------------


def test_globals_count_as_they_are_when_it_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = sh.kernel(lambda x: x * SCALE)
    assert kernel(2) == 10
    monkeypatch.setitem(globals(), "SCALE", 7)
    assert by_both_roads(kernel, 2) == (14, 14)
    assert kernel(0.5) == 3.5


def test_array_from_outside_counts_as_it_is_now() -> None:
    table = np.arange(3.0)
    kernel = sh.kernel(lambda i: table[i])
    assert kernel(1) == 1
    table[1] = 50
    assert by_both_roads(kernel, 1) == (50, 50)


def test_closure_travels() -> None:
    amounts = (0.5, 100)
    add = adder(2.5)
    kernel = sh.kernel(lambda x: add(x) + amounts[1])
    kernel.compile(1)
    assert in_fresh_python(kernel, 1) == 103.5
    assert in_fresh_python(kernel, 1j) == 102.5 + 1j
