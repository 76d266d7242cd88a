"""Teams: their start, their end, and the processes that may use them."""

from __future__ import annotations

import gc
import os
import sys
import threading
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from team_kernels import add, hold, increment, one_more, total
from team_tools import (
    let_go,
    maps,
    needs_jit,
    path_of,
    program,
    settled,
    stopped_from_hanging,
    team_of,
    until,
    until_inside,
    wait_for_end,
)

import sharray as sh

__all__ = ["settled"]
team = team_of(1)


@pytest.mark.parametrize(
    ("workers", "caller_works"), [(0, True), (1, False), (2, True)]
)
def test_a_team_has_as_many_members_as_asked_for(
    workers: int, caller_works: bool
) -> None:
    with sh.Team(workers, caller_works=caller_works) as team:
        assert team.size == workers + caller_works
        pids = team.pids()
        assert len(set(pids) - {os.getpid()}) == workers
        assert f", {team.size} member" in repr(team)
        x = sh.zeros(100)
        team.run(increment, x)
        assert x.tolist() == [1] * 100
        assert team.pids() == pids
    assert all(wait_for_end(pid) for pid in pids)
    assert "closed" in repr(team)
    assert team.pids() == []


def test_a_team_without_a_number_has_a_member_for_each_core() -> None:
    with sh.Team() as team, sh.Team(caller_works=False) as other:
        assert team.size <= len(os.sched_getaffinity(0))
        assert other.size == max(team.size, 1)
        assert len(team.pids()) == team.size - 1


def test_a_closed_team_says_so() -> None:
    team = sh.Team(1)
    team.close()
    team.close()
    for use in (team.run, team.submit):
        with pytest.raises(sh.TeamError, match=r"closed.*sharray\.Team\(\)"):
            use(increment, sh.zeros(3))


def test_a_team_ends_with_its_last_reference() -> None:
    team = sh.Team(1)
    (pid,) = team.pids()
    team.run(increment, sh.zeros(3))
    del team
    gc.collect()
    assert wait_for_end(pid)


def test_the_arrays_outlive_the_team() -> None:
    x = sh.zeros(3)
    with sh.Team(1) as team:
        team.run(increment, x)
    with sh.Team(1) as team:
        team.run(increment, x)
    assert x.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((-1,), {}),
        ((0,), {"caller_works": False}),
        ((1.0,), {}),
        ((True,), {}),
        (("2",), {}),
        ((1,), {"start_method": "fork"}),
        ((1,), {"start_method": "forkserver"}),
    ],
)
def test_impossible_teams_are_refused(arguments: Any, options: Any) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        sh.Team(*arguments, **options)


@pytest.mark.parametrize("program", ["", "/bin/false", "/nonexistent"])
def test_workers_that_do_not_start_are_an_error_of_the_team(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(sh.TeamError, match="start"):
        sh.Team(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "guided"}, "schedule='dynamic' or 'static', got 'guided'"),
        ({"schedule": None}, "schedule='dynamic' or 'static', got None"),
        ({"chunk": 0}, "positive integer as chunk=, got 0"),
        ({"chunk": -3}, "positive integer as chunk=, got -3"),
        ({"chunk": 1.5}, r"positive integer as chunk=, got 1\.5"),
        ({"reduce": "product"}, "'sum', 'min', 'max' or a kernel.*got 'product'"),
        ({"reduce": max}, "'sum', 'min', 'max' or a kernel.*got <built-in"),
        ({"axis": 1}, "cannot split argument 'x' with 1 dimensions along axis 1"),
        ({"axis": -2}, "cannot split argument 'x' with 1 dimensions along axis -2"),
    ],
)
def test_impossible_options_are_refused(options: Any, message: str, team: Any) -> None:
    x = sh.zeros(3)
    with pytest.raises(ValueError, match=message):
        team.run(increment, x, **options)
    team.run(increment, x)
    assert x.tolist() == [1, 1, 1]


def test_a_reducer_that_cannot_be_hashed_is_refused_as_well(team: Any) -> None:
    with pytest.raises(ValueError, match="'sum', 'min', 'max' or a kernel"):
        team.run(total, sh.zeros(3), reduce=["sum"])


def test_a_chunk_may_be_an_integer_of_numpy(team: Any) -> None:
    x = sh.zeros(30)
    team.run(increment, x, chunk=np.int64(7))
    assert x.tolist() == [1] * 30


def test_what_cannot_be_called_is_refused(team: Any) -> None:
    with pytest.raises(TypeError, match="expected a kernel, a function or a ufunc"):
        team.run("increment", sh.zeros(3))


def test_submit_gives_a_future_with_the_value(team: Any) -> None:
    x = sh.ones(1000)
    futures = [team.submit(add, x, float(n)) for n in range(5)]
    last = team.submit(total, x, reduce="sum", schedule="static")
    assert isinstance(last, Future)
    assert last.result() == 11000
    assert [future.result() for future in futures] == [None] * 5
    error = team.submit(increment, np.zeros(3)).exception()
    assert isinstance(error, sh.NotSharedError)


@needs_jit
def test_submit_does_not_wait_for_the_run_before() -> None:
    x, gate = sh.zeros(4), sh.zeros(2, "i8")
    with sh.Team(1, caller_works=False) as team, stopped_from_hanging(gate):
        first = team.submit(hold, x, sh.whole(gate))
        until_inside(gate)
        second = team.submit(add, x, 1.0)
        assert not first.done()
        let_go(gate)
        second.result()
    assert x.tolist() == [2] * 4


@needs_jit
def test_two_that_end_its_workers_at_the_same_time_do_not_clash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wait_while_another_ends_it(seconds: float) -> None:
        crew.end()
        wait(seconds)

    with sh.Team(1) as team:
        crew = team._members.crew
        wait = crew._wait_for_ends
        monkeypatch.setattr(crew, "_wait_for_ends", wait_while_another_ends_it)
    assert team.pids() == []
    monkeypatch.undo()


def test_close_waits_for_what_was_submitted() -> None:
    x, gate = sh.zeros(4), sh.zeros(2, "i8")
    team = sh.Team(1, caller_works=False)
    with stopped_from_hanging(gate):
        future = team.submit(hold, x, sh.whole(gate))
        until_inside(gate)
        closing = threading.Thread(target=team.close)
        closing.start()
        assert not future.done()
        let_go(gate)
        closing.join()
        assert future.result(0) is None
    assert x.tolist() == [1] * 4


def test_the_default_team_starts_with_the_first_run_and_again_after_its_end() -> None:
    from sharray.team.default import close_default_team, default_team

    x = sh.zeros(2000)
    sh.run(increment, x)
    team = default_team()
    assert sh.submit(total, x, reduce="sum").result() == 2000
    assert default_team() is team
    pids = team.pids()
    close_default_team()
    assert all(wait_for_end(pid) for pid in pids)
    assert sh.run(one_more, 1) == 2
    assert default_team() is not team


FORKED = """
import os, signal, sys, gc
import sharray as sh
from team_kernels import add, hold
from team_tools import until_inside, let_go
x, y, gate = sh.zeros(1000), sh.zeros(1000), sh.zeros(2, "i8")
team = sh.Team(1)
team.run(add, x, 1.0)
sh.run(add, x, 1.0)
{before}
pid = os.fork()
if pid == 0:
    signal.alarm(500)
    {child}
    sys.stdout.flush()
    {end}
assert os.waitpid(pid, 0)[1] == 0, "the child failed"
{after}
for schedule in ("static", "dynamic"):
    team.run(add, x, 1.0, schedule=schedule, timeout=500)
sh.run(add, x, 1.0, schedule="static", timeout=500)
print(x.min(), x.max())
team.close()
"""
REFUSED = """for use in (team.run, team.submit):
        try:
            use(add, x, 1.0)
        except sh.TeamError as error:
            assert "forked" in str(error), error
        else:
            raise SystemExit("not refused")
    team.close()"""


def run_forked(
    child: str,
    before: str = "",
    after: str = "",
    end: str = "os._exit(0)",
    ignored: str = "(DeprecationWarning, ResourceWarning)",
) -> str:
    code = FORKED.format(child=child, before=before, after=after, end=end)
    with program(
        f"import warnings; warnings.simplefilter('ignore', {ignored})\n" + code
    ) as process:
        out, err = process.communicate(timeout=500)
    assert (process.returncode, err) == (0, "")
    return str(out)


def test_a_forked_child_may_not_use_its_parents_team() -> None:
    assert run_forked(REFUSED) == "5.0 5.0\n"


@needs_jit
def test_a_child_forked_during_a_run_may_not_use_its_parents_team() -> None:
    before = "future = team.submit(hold, y, sh.whole(gate)); until_inside(gate)"
    after = "let_go(gate); future.result()"
    assert run_forked(REFUSED, before, after) == "5.0 5.0\n"


def test_a_forked_child_has_a_default_team_of_its_own() -> None:
    child = "sh.run(add, x, 1.0)"
    assert run_forked(child) == "6.0 6.0\n"


def test_a_forked_child_that_ends_leaves_its_parents_team_alone() -> None:
    child, ignored = "sh.run(add, x, 1.0)", "DeprecationWarning"
    assert run_forked(child, end="sys.exit(0)", ignored=ignored) == "6.0 6.0\n"


def test_an_array_dropped_in_a_forked_child_stays_in_the_parents_team() -> None:
    assert run_forked("del x; gc.collect()") == "5.0 5.0\n"


def test_a_relative_file_is_found_by_workers_that_started_elsewhere(team: Any) -> None:
    x = sh.create("here.npy", 10)
    team.run(increment, x, schedule="static")
    assert np.load("here.npy").tolist() == [1] * 10
    if team.pids():
        until(lambda: maps(team.pids()[0], path_of(x)) or not team)
