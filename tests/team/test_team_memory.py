"""Dropped arrays are unmapped in all workers, and removed from RAM."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

import numpy as np
import pytest
import team_tools
from belongings import files_in_ram
from team_kernels import add, add_arrays, hold, increment, refuse, total
from team_tools import (
    let_go,
    maps,
    path_of,
    state_of,
    stopped_from_hanging,
    team_of,
    until,
    until_inside,
)

import sharray as sh

settled = team_tools.settled
team = team_of(2)
pytestmark = [pytest.mark.slow, team_tools.needs_jit]


def is_forgotten(team: Any, path: str) -> bool:
    return not os.path.exists(path) and not any(maps(pid, path) for pid in team.pids())


@pytest.fixture
def no_collector(settled: None) -> Any:
    """Switch the garbage collector off: dropped arrays must go at once."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("how", ["array", "view", "tuple", "whole", "submit", "reduce"])
@pytest.mark.usefixtures("no_collector")
def test_a_dropped_array_is_unmapped_everywhere(team: Any, how: str) -> None:
    a: Any = sh.zeros(1000)
    path = path_of(a)
    if how == "array":
        team.run(increment, a, schedule="static")
    elif how == "view":
        team.run(increment, a[::2][3:], schedule="static")
    elif how == "tuple":
        team.run(use_tuple, sh.whole((a, 1.0)), schedule="dynamic")
    elif how == "whole":
        team.run(add_arrays, sh.zeros(1000), sh.whole(a), chunk=1000)
    elif how == "submit":
        team.submit(increment, a, schedule="static").result()
    else:
        team.run(total, a, reduce="sum", schedule="static")
    assert any(maps(pid, path) for pid in team.pids())
    del a
    until(lambda: is_forgotten(team, path))


@sh.kernel
def use_tuple(both: Any) -> None:
    both[0][0] += both[1]


@pytest.mark.usefixtures("no_collector")
def test_copies_are_dropped_after_the_run(team: Any) -> None:
    x = np.zeros(1000)
    team.run(increment, x, copy=True)
    assert x[0] == 1
    until(lambda: files_in_ram() == [])


def test_an_array_that_a_kernel_failed_on_can_be_dropped(team: Any) -> None:
    a = sh.zeros(1000)
    path = path_of(a)
    with pytest.raises(ValueError, match="refused"):
        team.run(refuse, a, 0.0)
    del a
    gc.collect()
    until(lambda: is_forgotten(team, path))


def test_views_keep_their_array(team: Any) -> None:
    a = sh.zeros(1000)
    path, view = path_of(a), a[5:]
    team.run(increment, a, schedule="static")
    del a
    gc.collect()
    team.run(increment, view, schedule="static")
    assert view.tolist() == [2] * 995
    assert os.path.exists(path)
    del view
    gc.collect()
    until(lambda: is_forgotten(team, path))


def test_many_arrays_one_after_the_other_leave_nothing(team: Any) -> None:
    for n in range(600):  # more than plans are kept
        a = sh.zeros(1 + n % 7)
        team.run(increment, a, schedule="static" if n % 2 else "dynamic")
        assert a.tolist() == [1] * len(a)
    del a
    gc.collect()
    until(lambda: files_in_ram() == [])


def test_many_arrays_at_a_time_are_kept_apart(team: Any) -> None:
    arrays = [sh.full(3, float(n)) for n in range(100)]
    for _ in range(2):
        for array in arrays:
            team.run(add, array, 1.0)
    del arrays[::2]
    gc.collect()
    arrays += [sh.full(3, 1000.0 + n) for n in range(60)]  # with numbers used again
    for array in arrays:
        team.run(add, array, 1.0, schedule="static")
    firsts = [array[0] for array in arrays]
    assert firsts == [n + 3 for n in range(1, 100, 2)] + [n + 1001 for n in range(60)]


def test_an_array_dropped_during_a_run_goes_after_it(team: Any) -> None:
    a, x, gate = sh.zeros(1000), sh.zeros(10), sh.zeros(2, "i8")
    path = path_of(a)
    team.run(increment, a, schedule="static")
    with stopped_from_hanging(gate):
        future = team.submit(hold, x, sh.whole(gate))
        until_inside(gate)
        del a
        gc.collect()
        let_go(gate)
        future.result()
    until(lambda: is_forgotten(team, path))


@sh.kernel
def wait_at(x: Any, barrier: Any) -> None:
    barrier.wait()


def test_a_dropped_barrier_goes_too(team: Any) -> None:
    barrier = sh.Barrier(3)
    path = path_of(barrier._cells)
    team.run(wait_at, sh.zeros(1000), barrier, schedule="static", timeout=500)
    del barrier
    gc.collect()
    until(lambda: is_forgotten(team, path))


def test_arrays_of_two_teams_go_from_both(team: Any) -> None:
    with sh.Team(1) as other:
        a = sh.zeros(1000)
        path = path_of(a)
        for one in (team, other):
            one.run(increment, a, schedule="static")
        assert a.tolist() == [2] * 1000
        del a
        gc.collect()
        until(lambda: is_forgotten(team, path) and is_forgotten(other, path))


def test_a_worker_that_is_late_to_forget_still_tells_its_errors() -> None:
    a, b = sh.zeros(10), sh.zeros(10)
    with sh.Team(1, caller_works=False) as team:
        team.run(add, b, 1.0)
        with pytest.raises(ValueError, match="refused"):
            team.run(refuse, a, 0.0)
        (pid,) = team.pids()
        until(lambda: state_of(pid) == "S")
        os.kill(pid, team_tools.SIGSTOP)
        until(lambda: state_of(pid) == "T")
        try:
            del b
            gc.collect()
            future = team.submit(refuse, a, 0.0, timeout=500)
            team_tools.until_open(team)
        finally:
            os.kill(pid, team_tools.SIGCONT)
        assert type(future.exception()) is ValueError
        del future
        team.run(add, a, 1.0)
        assert a.tolist() == [1] * 10


def test_garbage_may_be_collected_at_any_time_in_a_run(team: Any) -> None:
    stop = threading.Event()

    def make_garbage() -> None:
        while not stop.is_set():
            cycle: list[Any] = [sh.zeros(5)]
            cycle.append(cycle)
            team.run(increment, cycle[0])

    threads = [threading.Thread(target=make_garbage) for _ in range(2)]
    before = gc.get_threshold()
    gc.set_threshold(50, 2, 2)
    try:
        for thread in threads:
            thread.start()
        x = sh.zeros(100)
        for n in range(300):
            team.run(add, x[: 50 + n % 50], 1.0, schedule="static", timeout=500)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        gc.set_threshold(*before)
    assert x[0] == 300
    assert x.sum() == sum(50 + n % 50 for n in range(300))


def test_an_array_goes_whose_run_was_interrupted_before_the_answers(
    team: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers have mapped it, although this process does not know."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    x = sh.zeros(1000)
    path = path_of(x)
    with monkeypatch.context() as patch:
        patch.setattr(team._members.crew, "_read_answers", interrupt)
        with pytest.raises(KeyboardInterrupt):
            team.run(increment, x)
    team.run(increment, sh.zeros(10))  # a worker that answers has read the commands
    del x
    gc.collect()
    until(lambda: is_forgotten(team, path))
