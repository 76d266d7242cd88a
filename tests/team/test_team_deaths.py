"""Workers that die: in a run, before it, while they wait."""

from __future__ import annotations

import math
import os
import pickle
import signal
import threading
from typing import Any

import pytest
import team_tools
from team_kernels import add, hold, increment
from team_tools import LONG, kill, needs_jit, stopped_from_hanging, until, until_inside

import sharray as sh

settled = team_tools.settled
pytestmark = [pytest.mark.slow, needs_jit]


@sh.kernel
def crash(x: Any, where: Any) -> None:
    x[where] = 1


@sh.kernel
def tell_and_hold(x: Any, gate: Any, pids: Any) -> None:
    """Report the number of a chunk, then wait like `hold`."""
    sh.atomic.store(pids, int(x[0]), 1)
    sh.atomic.add(gate, 0, 1)
    while sh.atomic.load(gate, 1) == 0:
        pass


@sh.kernel
def wait_at(x: Any, barrier: Any) -> None:
    barrier.wait()
    x[0] += 1


def leave_a_child() -> int:
    """Leave a child that has everything open that this process has."""
    pid = os.fork()
    while pid == 0:
        signal.pause()
    return pid


def check_usable(team: Any, *gone: int) -> None:
    x = sh.zeros(1000)
    for schedule in ("static", "dynamic"):
        team.run(increment, x, schedule=schedule, timeout=500)
    assert x.tolist() == [2] * 1000
    pids = team.pids()
    assert len(set(pids)) == team.size - team._members.crew._first
    assert not set(pids) & set(gone)


@pytest.mark.parametrize("caller_works", [True, False])
@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_a_killed_worker_is_reported_and_replaced(
    caller_works: bool, schedule: str
) -> None:
    with sh.Team(2, caller_works=caller_works) as team:
        x, gate = sh.zeros(3000), sh.zeros(2, "i8")
        before = team.pids()
        with stopped_from_hanging(gate):
            future = team.submit(hold, x, sh.whole(gate), schedule=schedule, chunk=1000)
            until_inside(gate, team.size)
            kill(before[1])
            if caller_works:
                team_tools.let_go(gate)
            error = future.exception(20)
        del future
        assert isinstance(error, sh.WorkerDied)
        assert isinstance(error, RuntimeError)
        assert (error.signal, error.kernel) == ("SIGKILL", "hold")
        assert error.chunk in [(0, 1000), (1000, 2000), (2000, 3000)]
        for part in (str(before[1]), "SIGKILL", "'hold'", "next run"):
            assert part in str(error)
        copy = pickle.loads(pickle.dumps(error))
        assert (copy.signal, copy.kernel, copy.chunk) == (
            error.signal,
            error.kernel,
            error.chunk,
        )
        del error, copy
        check_usable(team, before[1])


def test_a_crash_takes_a_worker_and_not_the_caller() -> None:
    with sh.Team(1, caller_works=False) as team:
        before = team.pids()
        with pytest.raises(sh.WorkerDied, match="SIGSEGV") as found:
            team.run(crash, sh.zeros(100), 2**45, chunk=50)
        assert (found.value.signal, found.value.kernel) == ("SIGSEGV", "crash")
        assert found.value.chunk == (0, 50)
        check_usable(team, *before)
        team.run(crash, sh.zeros(100), 3, chunk=50)


def test_a_kernel_that_runs_once_and_crashes_takes_a_worker() -> None:
    with sh.Team(1) as team:
        with pytest.raises(sh.WorkerDied, match="SIGSEGV") as found:
            team.run(crash, sh.whole(sh.zeros(3)), 2**45)
        assert found.value.chunk is None
        check_usable(team)


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_a_worker_that_dies_while_idle_is_replaced(
    schedule: str, known: bool, which: Any
) -> None:
    with sh.Team(2) as team:
        x, before = sh.zeros(1000), team.pids()
        expected = 0
        if known:
            team.run(add, x, 1.0, schedule=schedule)
            expected = 1
        team.run(add, sh.zeros(5), 1.0, schedule=schedule)
        dead = [before[number] for number in which]
        for pid in dead:
            kill(pid)
        team.run(add, x, 1.0, schedule=schedule, timeout=500)
        assert x.tolist() == [expected + 1] * 1000
        until(lambda: not looked_at(team, dead))


def looked_at(team: Any, dead: list[int]) -> bool:
    x = sh.zeros(1000)
    team.run(increment, x, schedule="static", timeout=500)
    assert x.tolist() == [1] * 1000
    return bool(set(team.pids()) & set(dead))


def test_an_array_dropped_while_a_worker_is_dead_is_dropped_all_the_same() -> None:
    with sh.Team(2) as team:
        a, x = sh.zeros(100), sh.zeros(1000)
        path = team_tools.path_of(a)
        for array in (a, x):
            team.run(increment, array, schedule="static")
        dead, alive = team.pids()
        kill(dead)
        del a
        team_tools.gc.collect()
        for n in (2, 3):
            team.run(increment, x, schedule="static", timeout=500)
            assert x.tolist() == [n] * 1000
        until(lambda: not team_tools.maps(alive, path) and not os.path.exists(path))


def test_all_workers_may_die() -> None:
    with sh.Team(2, caller_works=False) as team:
        x, gate, before = sh.zeros(2000), sh.zeros(2, "i8"), team.pids()
        with stopped_from_hanging(gate):
            future = team.submit(hold, x, sh.whole(gate), chunk=1000)
            until_inside(gate, 2)
            for pid in before:
                kill(pid)
            assert isinstance(future.exception(20), sh.WorkerDied)
        del future
        check_usable(team, *before)
        for pid in team.pids():
            kill(pid)
        check_usable(team)


@pytest.mark.parametrize("caller_works", [True, False])
def test_nobody_waits_at_a_barrier_for_the_dead(caller_works: bool) -> None:
    workers = 2 if caller_works else 3
    with sh.Team(workers, caller_works=caller_works) as team:
        x, barrier = sh.zeros(3), sh.Barrier(3)
        team.run(wait_at, x, barrier, schedule="static", timeout=500)
        victim = team.pids()[-1]
        os.kill(victim, team_tools.SIGSTOP)
        until(lambda: team_tools.state_of(victim) == "T")
        rescue = threading.Timer(team_tools.LONG, barrier.abort)
        rescue.start()
        try:
            future = team.submit(wait_at, x, barrier, schedule="static")
            until(lambda: barrier.n_waiting == 2)
            kill(victim)
            error = future.exception(team_tools.LONG)
            assert rescue.is_alive(), "the test's own abort() has ended it"
        finally:
            rescue.cancel()
            rescue.join()
        assert isinstance(error, sh.WorkerDied)
        assert (error.signal, error.kernel) == ("SIGKILL", "wait_at")
        del future, error
        barrier.reset()
        team.run(wait_at, x, barrier, schedule="static", timeout=500)
        assert x.tolist() == [2, 2, 2]
        check_usable(team, victim)


@pytest.mark.parametrize("caller_works", [True, False])
def test_workers_die_again_and_again(caller_works: bool) -> None:
    with sh.Team(1, caller_works=caller_works) as team:
        for _ in range(4):
            kill(team.pids()[0])
            check_usable(team)


@pytest.mark.parametrize("message", [b"", bytes(1 << 22)], ids=["short", "long"])
def test_a_child_of_a_dead_worker_does_not_keep_others_waiting(message: bytes) -> None:
    with sh.Team(1, caller_works=False) as team:
        (dead,) = team.pids()
        child = team.run(leave_a_child)
        try:
            kill(dead)
            # As if it had died right after the caller looked for the dead.
            team._members._run._looked = math.inf
            assert team.run(len, message, timeout=LONG) == len(message)
        finally:
            os.kill(child, signal.SIGKILL)
        check_usable(team, dead)
