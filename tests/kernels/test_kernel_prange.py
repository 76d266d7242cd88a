"""`sharray.prange` goes through its whole range, unless a team splits it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_elsewhere import as_received, by_both_roads
from workers import run_python

import sharray as sh
from sharray import prange
from sharray.kernels import prange as module
from sharray.kernels.prange import ALL
from sharray.kernels.references import may_use_prange

pytestmark = pytest.mark.slow


INT64 = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-40, 40)


@sh.kernel
def to_stop(stop, seen):
    count = 0
    for i in sh.prange(stop):
        seen[count] = i
        count += 1
    return count


@sh.kernel
def from_start(start, stop, seen):
    count = 0
    for i in prange(start, stop):
        seen[count] = i
        count += 1
    return count


@sh.kernel
def by_steps(start, stop, step, seen):
    count = 0
    for i in module.prange(start, stop, step):
        if count < seen.shape[0]:
            seen[count] = i
        count += 1
    return count


KERNELS = {1: to_stop, 2: from_start, 3: by_steps}


@settings(deadline=None)
@given(bounds=st.lists(SMALL, min_size=1, max_size=3))
def test_direct_call_goes_through_all(bounds: list[int]) -> None:
    if len(bounds) == 3 and bounds[2] == 0:
        bounds[2] = 7
    kernel = KERNELS[len(bounds)]
    expected = list(range(*bounds))
    kernel.compile(*bounds, np.zeros(1, np.int64))
    for function in (kernel.py_func, kernel, as_received(kernel)):
        seen = np.zeros(100, np.int64)
        count = function(*bounds, seen)
        assert seen[:count].tolist() == expected


@pytest.mark.parametrize(
    "bounds",
    [
        (0, 2**63 - 1, 2**62),
        (2**63 - 3, 2**63 - 1, 2),
        (0, -(2**63), -(2**62)),
        (-5, -(2**63), -(2**63)),
    ],
)
def test_bounds_may_be_any_int64(bounds: tuple[int, int, int]) -> None:
    expected = list(range(*bounds))
    seen = np.zeros(5, np.int64)
    count = by_steps(*bounds, seen)
    assert seen[:count].tolist() == expected


@pytest.mark.parametrize("number", [np.int8(4), np.uint64(4), np.uint8(4), True])
def test_bounds_may_be_of_any_integer_type(number: Any) -> None:
    seen = np.zeros(5, np.int64)
    assert by_both_roads(to_stop, number, seen) == (int(number),) * 2


def test_bounds_must_be_integers_as_in_python() -> None:
    with pytest.raises(TypeError):
        to_stop.py_func(2.7, np.zeros(5, np.int64))
    with pytest.raises(Exception, match="prange"):
        to_stop(2.7, np.zeros(5, np.int64))


def test_step_of_zero_is_refused() -> None:
    seen = np.zeros(5, np.int64)
    by_steps.compile(0, 5, 1, seen)
    for function in (by_steps.py_func, by_steps, as_received(by_steps)):
        with pytest.raises(ValueError, match="arg 3 must not be zero"):
            function(0, 5, 0, seen)


@sh.kernel
def triangle(n):
    total = 0
    for i in sh.prange(n):
        total += i
    return total


@sh.kernel
def triangles(n):
    total = 0
    for i in sh.prange(n):
        total += triangle(i + 1)
    return total


def run_part(kernel: sh.Kernel, n: int, begin: int, end: int) -> tuple[int, int]:
    """Return status and value of a kernel that runs a part of its range."""
    import ctypes

    from sharray.kernels.outcome import SIZE, read

    (compiled,) = kernel.compile(n)._compiled.values()
    slots = np.array([n], np.int64)
    out, error = (ctypes.c_char * SIZE)(), ctypes.c_void_p()
    status = compiled._entry(
        slots.ctypes.data,
        slots.ctypes.data,
        begin,
        end,
        ctypes.addressof(out),
        ctypes.addressof(error),
    )
    return status, read(compiled.value, bytes(out))


@settings(deadline=None)
@given(n=st.integers(0, 30), begin=st.integers(0, 40), length=st.integers(0, 40))
def test_part_is_that_of_the_kernel_and_not_of_those_it_calls(
    n: int, begin: int, length: int
) -> None:
    part = range(n)[begin : begin + length]
    assert run_part(triangle, n, begin, begin + length) == (0, sum(part))
    expected = sum(sum(range(i + 1)) for i in part)
    assert run_part(triangles, n, begin, begin + length) == (0, expected)
    assert triangles(n) == sum(sum(range(i + 1)) for i in range(n))
    assert run_part(triangle, n, ALL, ALL) == (0, sum(range(n)))


def test_length_is_counted_without_the_loop() -> None:
    kernel = sh.kernel(to_stop.py_func).compile(7, np.zeros(1, np.int64))
    (compiled,) = kernel._compiled.values()
    from sharray.kernels.argument_keys import absolute, key_of, slots_of

    seen = np.zeros(7, np.int64)
    slots = slots_of(7, key_of(7), absolute) + slots_of(seen, key_of(seen), absolute)
    words = np.array(slots, np.int64)
    # It carries `count`, with which it indexes, from one iteration to the next.
    assert "needs 'count'" in compiled.code.loop.refusal
    assert compiled.call(words) == (7, None)
    assert seen.tolist() == list(range(7))
    (compiled,) = sh.kernel(triangle.py_func).compile(7)._compiled.values()
    words = np.array(slots_of(7, key_of(7), absolute), np.int64)
    assert compiled.count.call(words) == (7, None)
    assert compiled.call(words) == (21, None)


@sh.kernel
def two_loops(n):
    total = 0
    for i in sh.prange(n):
        total += i
    for i in prange(n, 2 * n):
        total += i
    return total


def through_alias(n):
    loop = sh.prange
    total = 0
    for i in loop(n):
        total += i
    return total


@pytest.mark.parametrize("wrap", [lambda f: f, sh.kernel, numba.njit])
def test_what_may_use_prange_is_found_by_whatever_name(wrap: Any) -> None:
    outer, theirs = prange, numba.prange
    closure = wrap(lambda n: [i for i in outer(n)])  # noqa: C416
    others = [
        closure,
        wrap(through_alias),
        wrap(lambda n: [i for i in theirs(n)]),  # noqa: C416
        wrap(lambda n: closure(n)),
        wrap(lambda n: [i for i in numba.prange(n)]),  # noqa: C416
        wrap(lambda n: (lambda m: module.prange(m))(n)),
    ]
    for function in (to_stop, from_start, by_steps, triangles, *others):
        assert may_use_prange(function)
    for function in (lambda n: [i for i in range(n)], int, as_received):  # noqa: C416
        assert not may_use_prange(function)
    assert as_received(triangle, may_compile=True).may_split


def test_two_loops_are_refused_by_number_but_can_be_called() -> None:
    assert by_both_roads(two_loops, 5) == (sum(range(10)),) * 2
    (compiled,) = two_loops._compiled.values()
    assert "2 loops over prange; expected one" in compiled.code.loop.refusal


INTERPRETED = """
import sys, numpy as np, sharray as sh, test_kernel_prange as tests
seen = np.zeros(100, np.int64)
assert tests.by_steps(10, -5, -3, seen) == 5
assert seen[:5].tolist() == [10, 7, 4, 1, -2]
assert tests.triangles(4) == 10 and tests.two_loops(5) == 45
assert tests.triangle.compile(5).shipped == {}
assert tests.triangle.may_split
print("interpreted", getattr(tests.triangle._dispatcher, "py_func", None))
"""


def test_kernels_run_as_plain_python_when_numba_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert run_python(INTERPRETED) == "interpreted None\n"


def test_a_kernel_of_plain_python_is_compiled_when_numba_is_on_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @sh.kernel
    def one(x: Any) -> None:
        for i in sh.prange(x.shape[0]):
            x[i] += 1

    x = sh.zeros(10)
    with monkeypatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", True)
        sh.run(one, x)
        assert one.shipped == {}
    sh.run(one, x)
    one(x)
    assert x.tolist() == [3] * 10
    assert len(one.shipped) == 1
