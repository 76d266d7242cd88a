"""Runs of teams, interrupted at each point: the next run works, and nothing is left."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import team_tools
from belongings import belongings
from interrupting import Interrupted, interrupt_everywhere, some_of
from team_kernels import add, count_in_range, one_more, total

import sharray as sh
from sharray.system import processes
from sharray.team.default import close_default_team, default_team
from sharray.team.workers.tables import Segments

pytestmark = team_tools.needs_jit

SOON = 60.0  # seconds; a team that is locked for good raises TimeoutError


@sh.kernel
def fail(x: Any) -> None:
    if x[0] >= 0:
        raise ValueError("as it should")


@sh.kernel
def meet(x: Any, barrier: Any) -> None:
    barrier.wait()
    for i in range(x.shape[0]):
        x[i] += 1


@sh.kernel
def count_after_looking(x: Any, flags: Any) -> None:
    n = 0
    for i in range(flags.shape[0]):
        if flags[i] == 0:
            n += 1
    for i in sh.prange(n):
        x[i] += 1


@pytest.fixture(name="team")
def team_of_its_own() -> Iterator[sh.Team]:
    # Interrupted in the middle of a message, a team replaces a worker.
    with sh.Team(1) as team:
        yield team


def forget_plans(team: sh.Team) -> None:
    """Forget all plans, so that the next run has new arrays and a new kernel."""
    team._members._plans.clear()
    for worker in team._members.crew.workers:
        worker.segments.clear()
        worker.programs.clear()


def check_runs(team: sh.Team) -> Callable[[Interrupted], None]:
    """Return a check that the team runs kernels with all its members."""
    x, y = sh.zeros(1000), sh.zeros(2)

    def check(outcome: Interrupted) -> None:
        before = float(x[0])
        team.run(add, x, 1.0, timeout=SOON)
        assert (np.asarray(x) == before + 1).all()
        # Both have to come.
        barrier = sh.Barrier(2)
        before = float(y[0])
        team.run(meet, y, barrier, schedule="static", timeout=SOON)
        assert (np.asarray(y) == before + 1).all()
        assert all(worker.is_in_sync for worker in team._members.crew.workers)

    return check


def both(*checks: Callable[[Interrupted], None]) -> Callable[[Interrupted], None]:
    def check(outcome: Interrupted) -> None:
        for one in checks:
            one(outcome)

    return check


def is_raised(outcome: Interrupted) -> None:
    assert outcome.raised or outcome.dropped


def test_a_run_of_a_plan_that_is_kept(team: sh.Team) -> None:
    x = sh.zeros(100)
    team.run(add, x, 1.0)
    check = both(is_raised, check_runs(team))
    interrupt_everywhere(lambda: team.run(add, x, 1.0), check)
    # What began goes on to its end, or never began: nobody works on it any more.
    assert len(np.unique(x)) <= 2


def test_a_run_with_a_timeout(team: sh.Team) -> None:
    x = sh.zeros(100)
    team.run(add, x, 1.0)
    check = both(is_raised, check_runs(team))
    interrupt_everywhere(lambda: team.run(add, x, 1.0, timeout=SOON), check)


def test_a_run_of_new_arrays_and_a_new_kernel(team: sh.Team) -> None:
    x = sh.zeros(100)
    team.run(add, x, 1.0)

    def call() -> None:
        forget_plans(team)
        team.run(add, x, 1.0)

    interrupt_everywhere(call, both(is_raised, check_runs(team)), step=11)


@pytest.mark.parametrize("kernel", [count_in_range, count_after_looking])
def test_a_run_over_a_range(team: sh.Team, kernel: Any) -> None:
    # A worker counts the iterations of the second one, in a run of its own.
    x, flags = sh.zeros(100), sh.zeros(100)
    arguments = (x,) if kernel is count_in_range else (x, flags)
    team.run(kernel, *arguments)
    check = both(is_raised, check_runs(team))
    interrupt_everywhere(lambda: team.run(kernel, *arguments), check, step=3)


def test_a_run_that_returns_a_value(team: sh.Team) -> None:
    def check_value(outcome: Interrupted) -> None:
        assert team.run(total, x, reduce="sum") == 100.0
        assert team.run(one_more, 4) == 5

    x = sh.ones(100)
    check = both(is_raised, check_value, check_runs(team))
    interrupt_everywhere(lambda: team.run(total, x, reduce="sum"), check, step=2)


@pytest.mark.parametrize("size", [1, 100])
def test_a_run_that_raises(team: sh.Team, size: int) -> None:
    def call() -> None:
        try:
            team.run(fail, x)
        except ValueError:
            pass
        else:
            raise AssertionError("the kernel did not raise")

    x = sh.zeros(size)
    call()
    interrupt_everywhere(call, check_runs(team), step=2)


def test_a_run_with_a_barrier(team: sh.Team) -> None:
    def call() -> None:
        team.run(meet, x, barrier, schedule="static", timeout=SOON)

    x, barrier = sh.zeros(2), sh.Barrier(2)
    call()
    before = threading.active_count()  # other tests may have left some
    check = both(is_raised, check_runs(team), lambda _: call())
    interrupt_everywhere(call, check, step=3)
    assert threading.active_count() <= before


def test_a_run_that_does_not_begin_in_time() -> None:
    with sh.Team(0) as team:
        x = sh.zeros(10)

        def call() -> None:
            with pytest.raises(TimeoutError):
                team.run(add, x, 1.0, timeout=0)

        def check(outcome: Interrupted) -> None:
            assert outcome.raised or outcome.dropped
            assert team._members._runner == runner  # of the other thread, as before

        begun, done = threading.Event(), threading.Event()

        def show(*_: object) -> None:
            begun.set()
            done.wait()

        other = threading.Thread(
            target=team.run, args=(add, x, 1.0), kwargs={"progress": show}
        )
        other.start()
        try:
            begun.wait()
            runner = other.ident
            interrupt_everywhere(call, check)
        finally:
            done.set()
            other.join()
        team.run(add, x, 1.0, timeout=SOON)


class Mapped:
    """A root for `Segments`, without a file."""

    address = 4096


def test_a_segment_that_is_unmapped_is_noted() -> None:
    def check(outcome: Interrupted) -> None:
        assert segments.numbers_gone() == [0]
        segments.free(1)
        roots.append(Mapped())
        assert segments.number(roots[0]) == 0

    segments, told = Segments(), []
    segments.when_gone = lambda: told.append("gone")
    roots: list[Any] = [Mapped()]
    assert segments.number(roots[0]) == 0
    interrupt_everywhere(roots.clear, check)
    assert told


def test_workers_forget_arrays_that_are_dropped(team: sh.Team) -> None:
    def check(outcome: Interrupted) -> None:
        runs(outcome)
        team._members._forget_gone()
        numbers = set(segments._by_number)
        assert team._members.crew.workers[0].segments <= numbers
        assert len(numbers) <= most
        renew()

    def renew() -> None:
        array = sh.zeros(1000)
        team.run(add, array, 1.0)
        tell, segments.when_gone = segments.when_gone, list
        del array
        segments.when_gone = tell

    segments = team._members.crew.segments
    runs = check_runs(team)
    runs(Interrupted(int, 1))
    most = len(segments._by_number) + 1
    renew()
    interrupt_everywhere(team._members._forget_gone, check, step=5)


def test_a_number_belongs_to_one_array(team: sh.Team) -> None:
    # Two arrays with the same number would be one for the workers.
    team.run(add, sh.zeros(10), 1.0)
    arrays: list[Any] = []

    def make() -> None:
        arrays.append(sh.zeros(10))
        arrays[-1]._root.segment.publish()

    def call() -> None:
        team.run(add, arrays[-1], 1.0)

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        make()
        segments = team._members.crew.segments
        numbers = [*segments._by_number, *segments._free]
        assert len(set(numbers)) == len(numbers)

    make()
    interrupt_everywhere(call, check, step=7)
    one, other = sh.zeros(10), sh.zeros(10)
    team.run(add, one, 1.0)
    team.run(add, other, 2.0)
    assert (one.tolist(), other.tolist()) == ([1.0] * 10, [2.0] * 10)


def test_submit(team: sh.Team) -> None:
    def call() -> None:
        team.submit(add, x, 1.0)

    def check(outcome: Interrupted) -> None:
        assert outcome.raised or outcome.dropped
        team.submit(add, x, 1.0).result(SOON)
        runs(outcome)

    x = sh.zeros(10)
    runs = check_runs(team)
    interrupt_everywhere(call, check)


# -- beginning and end of a team ---------------------------------------------


def workers_of_this_process() -> list[int]:
    """Return the numbers of all child processes that run workers, or did."""
    found = []
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as table:
        for pid in table.read().split():
            with open(f"/proc/{pid}/cmdline", "rb") as command:
                if b"sharray.team.workers.main" in command.read() or is_zombie(pid):
                    found.append(int(pid))
    return found


def is_zombie(pid: str) -> bool:
    return team_tools.state_of(int(pid)) == "Z"


def nothing_left(before: dict[str, Any], workers: list[int]) -> None:
    assert sorted(workers_of_this_process()) == sorted(workers)
    assert belongings() == before


@pytest.fixture
def _known_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out thousands of points, at which only tables of the system are read."""
    monkeypatch.setattr(processes, "count_cores", lambda: 2)


def start_and_close(step: int, first: int) -> None:
    made: list[weakref.ref[sh.Team]] = []

    def call() -> None:
        team = sh.Team(1)
        made.append(weakref.ref(team))
        team.close()

    def check(outcome: Interrupted) -> None:
        assert outcome.raised or outcome.dropped
        nothing_left(before, workers)
        made.clear()

    call()
    workers, before = workers_of_this_process(), belongings()
    interrupt_everywhere(call, check, step=step, first=first)


@pytest.mark.usefixtures("_known_cores")
def test_starting_a_team_and_dropping_it() -> None:
    start_and_close(step=101, first=1)


# Each point takes one or two teams, which is seconds on a busy machine.
@pytest.mark.torture
@pytest.mark.usefixtures("_known_cores")
def test_starting_a_team_and_dropping_it_at_more_points() -> None:
    for first in some_of(range(1, 9)):
        start_and_close(step=8, first=first)


def close_twice(step: int, first: int) -> None:
    def call() -> None:
        teams[-1].close()

    def check(outcome: Interrupted) -> None:
        assert outcome.raised or outcome.dropped
        teams.pop().close()
        nothing_left(before, workers)
        renew()

    def renew() -> None:
        teams.append(sh.Team(1))
        x = sh.zeros(10)
        teams[-1].run(add, x, 1.0)
        teams[-1].submit(add, x, 1.0).result()

    sh.Team(1).close()
    workers, before = workers_of_this_process(), belongings()
    teams: list[sh.Team] = []
    renew()
    try:
        interrupt_everywhere(call, check, step=step, first=first)
    finally:
        for team in teams:
            team.close()


def test_closing_a_team_twice() -> None:
    close_twice(step=31, first=1)


@pytest.mark.torture
@pytest.mark.usefixtures("_known_cores")
def test_closing_a_team_twice_at_more_points() -> None:
    for first in some_of(range(1, 9)):
        close_twice(step=8, first=first)


def test_leaving_a_with_statement() -> None:
    # Nobody closes it once more.
    def call() -> None:
        with entered[0]:
            pass

    def check(outcome: Interrupted) -> None:
        assert outcome.raised or outcome.dropped
        where.append(bool(workers_of_this_process() == workers))
        entered.pop().close()
        nothing_left(before, workers)
        entered.append(sh.Team(1))

    sh.Team(1).close()
    workers, before = workers_of_this_process(), belongings()
    entered, where = [sh.Team(1)], []
    try:
        interrupt_everywhere(call, check, step=37)
    finally:
        entered.pop().close()
    # All but the first instructions of `__enter__` and `__exit__`.
    assert where.count(False) <= 2


def test_dropping_a_team() -> None:
    def call() -> None:
        teams.clear()

    def check(outcome: Interrupted) -> None:
        # CPython drops what is raised in a finalizer.
        nothing_left(before, workers)
        teams.append(sh.Team(1))

    sh.Team(1).close()
    workers, before = workers_of_this_process(), belongings()
    teams = [sh.Team(1)]
    interrupt_everywhere(call, check, step=31)


def test_the_default_team() -> None:
    def call() -> None:
        close_default_team()
        default_team()

    def check(outcome: Interrupted) -> None:
        assert outcome.raised or outcome.dropped
        assert sh.run(one_more, 1) == 2

    call()
    try:
        interrupt_everywhere(call, check, step=301)
    finally:
        close_default_team()


def test_replacing_a_worker() -> None:
    with sh.Team(1) as team:
        x = sh.zeros(10)
        team.run(add, x, 1.0)

        def call() -> None:
            team_tools.kill(team.pids()[0])
            team._members._run._looked = 0.0
            team.run(add, x, 1.0)

        workers = len(workers_of_this_process())
        check = both(
            is_raised,
            check_runs(team),
            lambda _: nothing_more(workers),
        )
        interrupt_everywhere(call, check, step=101)


def nothing_more(workers: int) -> None:
    assert len(workers_of_this_process()) == workers


STORM = """
import os, random, signal, sys, threading
import sharray as sh
from team_kernels import add

def interrupt() -> None:
    chance = random.Random(1)
    for _ in range(300):
        done.wait(chance.random() * 0.01)
        os.kill(os.getpid(), signal.SIGINT)
    over.append(True)

def handle(*_) -> None:
    if inside[0]:
        inside[0] = False
        raise KeyboardInterrupt

signal.signal(signal.SIGINT, handle)
sys.unraisablehook = lambda _: None  # CPython drops what is raised in finalizers
done, over, inside, caught = threading.Event(), [], [False], 0
team, x = sh.Team(1), sh.zeros(1000)
team.run(add, x, 1.0)
threading.Thread(target=interrupt).start()
while not over:
    try:
        inside[0] = True
        team.run(add, x, 1.0)
        inside[0] = False
    except KeyboardInterrupt:
        caught += 1
before = x.tolist()
team.run(add, x, 1.0, timeout=60)
assert x.tolist() == [n + 1 for n in before]
team.close()
print(caught > 100, team)
"""


@pytest.mark.torture
def test_a_storm_of_interrupts() -> None:
    with team_tools.program(STORM) as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (
        0,
        "True <sharray team 1, is closed>\n",
        "",
    )
