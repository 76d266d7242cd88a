"""Kernels with a loop over `sharray.prange`, which a team splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import team_tools
from hypothesis import given, settings
from hypothesis import strategies as st
from team_kernels import count_in_range
from team_tools import needs_jit, team_of

import sharray as sh

pytestmark = pytest.mark.slow


settled = team_tools.settled
team = team_of(2)


@sh.kernel
def visit(x: Any, start: Any, stop: Any, step: Any) -> None:
    for i in sh.prange(start, stop, step):
        x[i] += 1


@sh.kernel
def visit_two(x: Any, start: Any, stop: Any) -> None:
    for i in sh.prange(start, stop):
        x[i] += 1


@sh.kernel
def as_many_as_it_says(x: Any, n: Any) -> None:
    for i in sh.prange(n[0]):
        x[i] += 1


@sh.kernel
def neighbours(x: Any, y: Any) -> None:
    for i in sh.prange(1, x.shape[0] - 1):
        y[i] = x[i - 1] + x[i + 1]


@sh.kernel
def squares(n: Any) -> Any:
    found = 0
    for i in sh.prange(n):
        found += i * i
    return found


@sh.kernel
def pairs(x: Any, chunks: Any) -> None:
    for i in sh.prange(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] += i * j
    chunks.add()


@sh.kernel
def perhaps(x: Any, n: Any) -> None:
    if n > 0:
        for i in sh.prange(n):
            x[i] += 1
    else:
        x[0] = 7


@sh.kernel
def calls_another(x: Any) -> None:
    for i in sh.prange(x.shape[0]):
        x[i] += squares(4)


@settings(deadline=None)
@given(
    start=st.integers(-50, 50),
    stop=st.integers(-50, 50),
    step=st.integers(-7, 7).filter(bool),
    chunk=st.none() | st.integers(1, 30),
    schedule=st.sampled_from(["static", "dynamic"]),
)
def test_each_iteration_happens_once(
    team: Any, start: int, stop: int, step: int, chunk: Any, schedule: str
) -> None:
    x = sh.zeros(101, "i8")
    team.run(visit, x, start, stop, step, chunk=chunk, schedule=schedule)
    expected = np.zeros(101, "i8")
    for i in range(start, stop, step):
        expected[i] += 1
    np.testing.assert_array_equal(x, expected)
    if step == 1:
        team.run(visit_two, x, start, stop, chunk=chunk, schedule=schedule)
        np.testing.assert_array_equal(x, 2 * expected)


def test_the_length_may_change_from_run_to_run(team: Any) -> None:
    x, n, expected = sh.zeros(3000, "i8"), sh.zeros(1, "i8"), np.zeros(3000)
    for length in (0, 3000, 1, 2999, 17, 17, 0, 1000):
        n[0] = length
        team.run(as_many_as_it_says, x, n)
        team.run(visit, x, 0, length, 1)
        expected[:length] += 2
        np.testing.assert_array_equal(x, expected)


def test_the_loop_sees_the_arrays_whole(team: Any) -> None:
    x, y = sh.array(np.random.default_rng(1).random(5000)), sh.zeros(5000)
    for schedule in ("static", "dynamic"):
        y[...] = 0
        team.run(neighbours, x, y, schedule=schedule)
        np.testing.assert_array_equal(y[1:-1], x[:-2] + x[2:])
        assert y[0] == y[-1] == 0


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_values_are_reduced(team: Any, n: int) -> None:
    assert team.run(squares, n, reduce="sum") == sum(i * i for i in range(n))
    assert team.run(squares, n, reduce="sum", chunk=3) == sum(i * i for i in range(n))


@needs_jit
def test_code_behind_the_loop_may_add_up_what_the_parts_have_done(team: Any) -> None:
    x, chunks = sh.zeros((100, 3)), sh.Counter()
    team.run(pairs, x, chunks, chunk=9)
    np.testing.assert_array_equal(x, np.outer(np.arange(100), np.arange(3)))
    assert chunks.value == 12


def test_a_kernel_that_does_not_come_to_its_loop_runs_once(team: Any) -> None:
    x = sh.zeros(10)
    team.run(perhaps, x, 0)
    assert x.tolist() == [7] + [0] * 9
    team.run(perhaps, x, 3)
    assert x.tolist() == [8, 1, 1] + [0] * 7


def test_a_kernel_called_by_another_goes_through_all_of_its_range(team: Any) -> None:
    x = sh.zeros(1000)
    team.run(calls_another, x)
    assert x.tolist() == [14] * 1000


def test_private_arrays_are_refused(team: Any) -> None:
    with pytest.raises(sh.NotSharedError, match="'x'"):
        team.run(count_in_range, np.zeros(3))


@needs_jit
def test_several_loops_are_refused(team: Any) -> None:
    @sh.kernel
    def two(x: Any) -> None:
        for i in sh.prange(x.shape[0]):
            x[i] = 1
        for i in sh.prange(x.shape[0]):
            x[i] = 2

    with pytest.raises(sh.KernelError, match="2 loops"):
        team.run(two, sh.zeros(3))
