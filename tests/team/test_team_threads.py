"""Teams used by several threads, several teams, and teams larger than the machine."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import team_tools
from team_kernels import add, count_in_range, increment, total
from team_tools import team_of, ticks_of, until

import sharray as sh

pytestmark = pytest.mark.slow


settled = team_tools.settled
team = team_of(1)


def test_threads_take_turns(team: Any) -> None:
    arrays = [sh.zeros(2000) for _ in range(4)]

    def work(number: int) -> float:
        for n in range(50):
            schedule = "static" if n % 2 else "dynamic"
            team.run(add, arrays[number], float(number), schedule=schedule, timeout=500)
        return float(team.run(total, arrays[number], reduce="sum", timeout=500))

    with ThreadPoolExecutor(4) as pool:
        sums = list(pool.map(work, range(4)))
    assert sums == [50 * 2000 * number for number in range(4)]


def test_teams_work_at_the_same_time_on_the_same_array(team: Any) -> None:
    x, y = sh.zeros(3000), sh.zeros(3000)
    with sh.Team(1) as other, ThreadPoolExecutor(2) as pool:

        def work(one: Any, part: slice) -> None:
            for n in range(50):
                one.run(increment, x[part], schedule="static", timeout=500)
                one.run(count_in_range, y[part], chunk=1 + n, timeout=500)

        list(pool.map(work, [team, other], [slice(0, 1500), slice(1500, 3000)]))
    assert x.tolist() == y.tolist() == [50] * 3000


def test_several_threads_submit(team: Any) -> None:
    x = sh.zeros(500)

    def submit(_: int) -> list[Any]:
        return [team.submit(add, x, 1.0) for _ in range(25)]

    with ThreadPoolExecutor(4) as pool:
        for futures in list(pool.map(submit, range(4))):
            assert [future.result(500) for future in futures] == [None] * 25
    assert x.tolist() == [100] * 500


@team_tools.needs_jit
def test_an_error_of_one_thread_is_not_seen_by_others(team: Any) -> None:
    def work(number: int) -> list[str]:
        x, found = sh.full(100, float(number)), []
        for _ in range(30):
            if number % 2:
                with pytest.raises(ValueError, match="refused"):
                    team.run(refuse_all, x, float(number), timeout=500)
            else:
                team.run(increment, x, timeout=500)
            found.append(x[0])
        return found

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))
    assert results[1] == [1] * 30
    assert results[2] == list(range(3, 33))


@sh.kernel
def refuse_all(x: Any, at: Any) -> None:
    if x[0] == at:
        raise ValueError("refused")


def test_a_first_run_in_many_threads_compiles_one_kernel(team: Any) -> None:
    @sh.kernel
    def double(x: Any) -> None:
        for i in range(x.shape[0]):
            x[i] *= 2

    together = threading.Barrier(4)

    def work(_: int) -> float:
        x = sh.ones(10)
        together.wait()
        team.run(double, x, timeout=500)
        return float(x.sum())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [20] * 4


def test_a_team_larger_than_the_machine_gets_on() -> None:
    with sh.Team(5) as team:
        x = sh.array(np.zeros(10_000))
        for n in range(50):
            team.run(
                increment, x, schedule="static" if n % 2 else "dynamic", timeout=500
            )
        assert x.tolist() == [50] * 10_000
        assert team.run(total, x, reduce="sum", schedule="static") == 500_000


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_that_wait_do_not_compute(workers: int) -> None:
    with sh.Team(workers) as team:
        team.run(increment, sh.zeros(1000))

        def are_idle() -> bool:
            before = [ticks_of(pid) for pid in team.pids()]
            # A quarter of a second is 25 ticks for one that computes.
            pass_time(0.25)
            return [ticks_of(pid) for pid in team.pids()] == before

        until(are_idle)


def pass_time(seconds: float) -> None:
    threading.Event().wait(seconds)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_all_members_on_one_core_get_on() -> None:
    cores = os.sched_getaffinity(0)
    with sh.Team(2) as team:
        try:
            for pid in (0, *team.pids()):
                os.sched_setaffinity(pid, {min(cores)})
            x = sh.zeros(1000)
            for _ in range(50):
                team.run(increment, x, schedule="static", timeout=500)
        finally:
            os.sched_setaffinity(0, cores)
        assert x.tolist() == [50] * 1000
