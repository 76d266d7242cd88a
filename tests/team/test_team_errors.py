"""Errors that kernels raise, and their runs."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import numpy as np
import pytest
import team_tools
from team_kernels import hold, increment, refuse
from team_tools import LONG, stopped_from_hanging, team_of

import sharray as sh

settled = team_tools.settled
team = team_of(2)
pytestmark = [pytest.mark.slow, team_tools.needs_jit]


class UnhappyError(Exception):
    """An error in a module that workers cannot import."""


@sh.kernel
def be_unhappy(x: Any) -> None:
    raise UnhappyError("so", 3)


@sh.kernel
def say_where(x: Any, at: Any) -> None:
    for i in range(x.shape[0]):
        if x[i] == at:
            raise IndexError("bad number", x[i], i)


@sh.kernel
def all_fail_together(x: Any, inside: Any, members: Any) -> None:
    sh.atomic.add(inside, 0, 1)
    while sh.atomic.load(inside, 0) < members:
        pass
    raise ValueError("mine is", x[0])


@sh.kernel
def first_fails_at_once(x: Any, begun: Any, raising: Any) -> None:
    begun.add()
    if x[0] == 0:
        sh.atomic.store(raising, 0, 1)
        raise ValueError("the first")
    while sh.atomic.load(raising, 0) == 0:
        pass


@sh.kernel
def fail_before_range(x: Any, n: Any) -> None:
    if n[0] < 0:
        raise ValueError("negative")
    for i in sh.prange(n[0]):
        if x[i] == 7:
            raise ValueError("seven")
        x[i] += 1


@sh.kernel
def one_fails_at_the_barrier(x: Any, barrier: Any, who: Any) -> None:
    if x[0] == who:
        raise ValueError("does not come")
    barrier.wait()


def check_usable(team: Any) -> None:
    x = sh.zeros(1000)
    for schedule in ("static", "dynamic"):
        team.run(increment, x, schedule=schedule, timeout=500)
    assert x.tolist() == [2] * 1000


def test_an_exception_says_what_and_where(team: Any) -> None:
    x, pids = sh.array(np.arange(100.0)), team.pids()
    with pytest.raises(ValueError, match="refused") as found:
        team.run(refuse, x, 57.0, chunk=10)
    assert found.value.args == ("refused", 42)
    (note,) = found.value.__notes__
    lines, first = inspect.getsourcelines(refuse.py_func)
    line = first + next(n for n, text in enumerate(lines) if "raise" in text)
    assert "kernel 'refuse'" in note
    assert f"team_kernels.py:{line}" in note
    assert "in elements 50 to 59 of 100 (index 0 of the chunk is" in note
    assert "element 50)" in note
    check_usable(team)
    assert team.pids() == pids


def test_an_exception_has_arguments_known_at_run_time_only(team: Any) -> None:
    x = sh.array(np.arange(100.0))
    for at in (0.0, 33.0, 99.0):
        with pytest.raises(IndexError) as found:
            team.run(say_where, x, at, chunk=10)
        assert found.value.args == ("bad number", at, int(at) % 10)
    check_usable(team)


def test_a_class_that_workers_do_not_know_is_raised(team: Any) -> None:
    for schedule in ("static", "dynamic"):
        with pytest.raises(UnhappyError) as found:
            team.run(be_unhappy, sh.zeros(1000), schedule=schedule)
        assert type(found.value) is UnhappyError
        assert found.value.args == ("so", 3)
        check_usable(team)


@pytest.mark.parametrize("member", [0, 1, 2])
def test_every_member_may_fail_the_caller_too(team: Any, member: int) -> None:
    x = sh.array(np.arange(3.0))
    with pytest.raises(IndexError) as found:
        team.run(say_where, x, float(member), schedule="static")
    assert found.value.args == ("bad number", member, 0)
    note = found.value.__notes__[0]
    assert f"in element {member} of 3 (index 0" in note
    check_usable(team)


def test_a_team_of_the_caller_alone_may_fail() -> None:
    with sh.Team(0) as team:
        with pytest.raises(IndexError, match="bad number"):
            team.run(say_where, sh.array(np.arange(100.0)), 57.0, chunk=10)
        check_usable(team)


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_of_several_the_first_chunk_counts(team: Any, schedule: str) -> None:
    for _ in range(20):
        x, inside = sh.array(np.arange(100.0)), sh.zeros(1, "i8")
        with pytest.raises(ValueError, match="mine is") as found:
            team.run(
                all_fail_together,
                x,
                sh.whole(inside),
                3,
                chunk=1,
                schedule=schedule,
                timeout=500,
            )
        assert found.value.args == ("mine is", 0)
        assert inside[0] == 3
    check_usable(team)


def test_chunks_that_have_not_begun_are_not_begun_any_more(team: Any) -> None:
    n = 100_000
    x, begun, raising = sh.array(np.arange(float(n))), sh.Counter(), sh.zeros(1, "i8")
    with pytest.raises(ValueError, match="the first"):
        team.run(first_fails_at_once, x, begun, sh.whole(raising), chunk=1, timeout=500)
    assert 1 <= begun.value < n
    check_usable(team)


def test_exceptions_before_and_in_a_range(team: Any) -> None:
    x, n, pids = sh.zeros(1000), sh.array([-1]), team.pids()
    with pytest.raises(ValueError, match="negative") as found:
        team.run(fail_before_range, x, n)
    assert "kernel 'fail_before_range'" in found.value.__notes__[0]
    assert team.pids() == pids
    n[0], x[600] = 1000, 7
    with pytest.raises(ValueError, match="seven") as found:
        team.run(fail_before_range, x, n, chunk=100)
    note = found.value.__notes__[0]
    assert note.endswith("in iterations 600 to 699 of 1000")
    x[...] = 0
    team.run(fail_before_range, x, n, timeout=500)
    assert x.tolist() == [1] * 1000
    check_usable(team)
    assert team.pids() == pids


def test_an_error_of_a_run_that_was_refused_kills_nobody(team: Any) -> None:
    x, pids = sh.create("x.npy", 100), team.pids()
    sh.unlink("x.npy")
    with pytest.raises(sh.ArrayGoneError, match=r"x\.npy"):
        team.run(increment, x)
    check_usable(team)
    assert team.pids() == pids


def test_an_exception_after_an_array_was_dropped_kills_nobody(team: Any) -> None:
    pids = team.pids()
    for _ in range(5):
        x = sh.zeros(100)
        team.run(increment, x, schedule="static")
        del x
        team_tools.gc.collect()
        with pytest.raises(ValueError, match="refused"):
            team.run(refuse, sh.zeros(1000), 0.0)
        assert team.pids() == pids


@pytest.mark.parametrize("who", [0, 1, 2])
@pytest.mark.parametrize("caller_works", [True, False])
def test_others_do_not_wait_at_a_barrier_for_who_failed(
    caller_works: bool, who: int
) -> None:
    workers = 2 if caller_works else 3
    with sh.Team(workers, caller_works=caller_works) as team:
        x, barrier = sh.array(np.arange(3.0)), sh.Barrier(3)
        rescue = threading.Timer(LONG, barrier.abort)
        rescue.start()
        try:
            with pytest.raises(ValueError, match="does not come"):
                team.run(
                    one_fails_at_the_barrier,
                    x,
                    barrier,
                    float(who),
                    schedule="static",
                    timeout=LONG - 10,
                )
            assert rescue.is_alive(), "the test's own abort() has ended it"
        finally:
            rescue.cancel()
            rescue.join()
        check_usable(team)


@pytest.mark.parametrize("where", ["caller", "worker"])
def test_time_at_a_barrier_is_limited(where: str) -> None:
    with sh.Team(1, caller_works=where == "caller") as team:
        x, parties = sh.zeros(team.size), team.size
        barrier = sh.Barrier(parties)
        rescue = threading.Timer(LONG, barrier.abort)
        rescue.start()
        try:
            with pytest.raises(TimeoutError, match="'wait_twice'"):
                team.run(wait_twice, x, barrier, schedule="static", timeout=0.2)
            assert rescue.is_alive(), "the test's own abort() has ended it"
        finally:
            rescue.cancel()
            rescue.join()
        check_usable(team)


@sh.kernel
def wait_twice(x: Any, barrier: Any) -> None:
    """Wait at a barrier where one party waits once more, alone."""
    barrier.wait()
    if barrier.parties == 1:
        while x[0] == 0:
            sh.atomic.load(x, 0)
    elif barrier.wait() == 0:
        barrier.wait()


@pytest.mark.parametrize("caller_works", [True, False])
def test_time_is_limited(caller_works: bool) -> None:
    with sh.Team(1, caller_works=caller_works) as team:
        x, gate = sh.array([0.0, 1.0]), sh.zeros(2, "i8")
        with stopped_from_hanging(gate):
            kernel: Any = hold_in_worker if caller_works else hold
            with pytest.raises(TimeoutError, match="did not finish in time"):
                # The second part is the worker's. The caller's cannot be stopped.
                team.run(kernel, x, sh.whole(gate), schedule="static", timeout=0.3)
        assert x[1] == 1  # the worker was ended in there
        check_usable(team)
        team.run(increment, x, timeout=1000)


@sh.kernel
def hold_in_worker(x: Any, gate: Any) -> None:
    """Stay in the part whose element is 1."""
    while x[0] == 1 and sh.atomic.load(gate, 1) == 0:
        pass
    x[0] += 1
