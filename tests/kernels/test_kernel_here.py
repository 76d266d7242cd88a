"""The part of a run that kernels and Python functions ask for."""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np
import pytest
import team_tools
from kernels_elsewhere import as_received
from team_tools import needs_jit, team_of

import sharray as sh
from sharray.native import parts

settled = team_tools.settled
team = team_of(2)


@numba.njit
def my_number() -> Any:
    return sh.member()


@sh.kernel
def say(x: Any, seen: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = sh.offset() + i
    seen[my_number()] = sh.members()


@sh.kernel
def count_rows(x: Any, scratch: Any) -> None:
    row = scratch[sh.member()]
    for i in sh.prange(2, x.shape[0]):
        row[0] += 1
        x[i] = sh.offset()


@sh.kernel
def where() -> Any:
    return sh.member(), sh.members(), sh.offset()


@sh.kernel
def one_for_each(x: Any) -> None:
    for i in sh.prange(sh.members()):
        x[i] = sh.members()


@sh.kernel
def negative(x: Any) -> None:
    if x[0] < 0:
        raise ValueError("negative")
    x[0] = sh.offset()


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_chunks_know_their_place(team: Any, schedule: str) -> None:
    x, seen = sh.zeros(10_000, int), sh.zeros(team.size, int)
    team.run(say, x, sh.whole(seen), schedule=schedule)
    np.testing.assert_array_equal(x, np.arange(10_000))
    assert set(seen.tolist()) <= {0, team.size}
    if schedule == "static" and not team_tools.is_disabled():
        assert seen.tolist() == [team.size] * team.size


def test_chunks_along_another_axis_know_their_place(team: Any) -> None:
    @sh.kernel
    def tell(x: Any) -> None:
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                x[i, j] = sh.offset() + j

    x = sh.zeros((3, 1000))
    team.run(tell, x, axis=1, chunk=7)
    np.testing.assert_array_equal(x, np.arange(1000.0) + np.zeros((3, 1)))


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_parts_of_a_loop_know_their_place(team: Any, schedule: str) -> None:
    x, scratch = sh.zeros(1002, int), sh.zeros((team.size, 8), int)
    team.run(count_rows, x, scratch, schedule=schedule, chunk=100)
    assert scratch.sum() == 1000
    whole = team_tools.is_disabled()  # a loop is not split then
    expected = np.zeros(1000, int) if whole else np.arange(1000) // 100 * 100
    np.testing.assert_array_equal(x[2:], expected)


def test_the_number_of_members_may_be_the_length_of_a_loop(team: Any) -> None:
    x = sh.zeros(5, int)
    team.run(one_for_each, x)
    assert x.tolist() == [3, 3, 3, 0, 0]


@needs_jit
@pytest.mark.parametrize("name", ["member", "offset", "helper"])
def test_bounds_of_a_loop_cannot_depend_on_the_part(team: Any, name: str) -> None:
    ask: Any = my_number if name == "helper" else getattr(sh, name)

    @sh.kernel
    def fill(x: Any) -> None:
        for i in sh.prange(ask(), x.shape[0]):
            x[i] = 1

    with pytest.raises(sh.KernelError, match="differ from part to part"):
        team.run(fill, sh.zeros(1000))


def test_a_kernel_that_is_not_split_is_the_only_part(team: Any) -> None:
    number, members, offset = team.run(where)
    assert 0 <= number < members == team.size
    assert offset == 0


def test_a_loop_that_is_not_reached_begins_at_0(team: Any) -> None:
    @sh.kernel
    def leave(x: Any, found: Any, early: Any) -> None:
        found[0] = sh.offset()
        if early:
            return
        for i in sh.prange(x.shape[0]):
            x[i] = 1

    found = sh.full(1, 5)
    team.run(leave, sh.zeros(10), found, True)
    assert found[0] == 0


def test_a_direct_call_is_the_only_member() -> None:
    assert where() == (0, 1, 0)
    assert as_received(where, may_compile=True)() == (0, 1, 0)
    assert (sh.member(), sh.members(), sh.offset()) == (0, 1, 0)


def test_python_sets_the_part_of_its_thread_only() -> None:
    received = as_received(where, may_compile=True)
    here = parts.words_here()
    try:
        here[:] = 2, 5, 70
        assert (sh.member(), sh.members(), sh.offset()) == (2, 5, 70)
        assert where() == received() == (2, 5, 70)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append((where(), sh.member())))
        thread.start()
        thread.join()
        assert found == [((0, 1, 0), 0)]
    finally:
        here[:] = parts.OUTSIDE


def test_an_error_restores_the_part() -> None:
    with sh.Team(0) as alone:
        x = sh.zeros(10)
        x[9] = -1
        with pytest.raises(ValueError, match="negative"):
            alone.run(negative, x, chunk=3)
    assert where() == (0, 1, 0)


@needs_jit
@pytest.mark.filterwarnings("ignore:.*object mode")
def test_python_that_a_kernel_calls_is_in_the_same_part(team: Any) -> None:
    @sh.kernel
    def ask_python(x: Any) -> None:
        with numba.objmode(offset="int64"):
            offset = sh.offset()
        x[:] = offset

    x = sh.zeros(10, int)
    team.run(ask_python, x, chunk=4)
    assert x.tolist() == [0] * 4 + [4] * 4 + [8] * 2
