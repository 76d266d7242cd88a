"""Submitted runs that are cancelled: before they begin, in the middle, too late."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, as_completed, wait
from typing import Any

import numpy as np
import pytest
from team_kernels import hold, increment
from team_tools import needs_jit, until_inside

import sharray as sh

pytestmark = needs_jit


@sh.kernel
def short(x: Any, gate: Any) -> None:
    sh.atomic.add(gate, 0, 1)
    for _ in range(100_000):
        if sh.atomic.load(gate, 1) != 0:
            break


@pytest.fixture
def gate() -> Any:
    return sh.zeros(2, "i8")


@pytest.fixture
def team() -> Iterator[sh.Team]:
    with sh.Team(1, caller_works=False) as team:
        yield team


def works(team: sh.Team) -> bool:
    x = sh.zeros(100)
    team.run(increment, x, timeout=500)
    return bool((np.asarray(x) == 1).all())


def test_a_running_run_ends_and_the_team_goes_on(team: sh.Team, gate: Any) -> None:
    future = team.submit(hold, sh.zeros(10), sh.whole(gate))
    until_inside(gate)
    assert not future.cancelled()
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result()
    with pytest.raises(CancelledError):
        future.exception()
    assert future.cancelled()
    assert future.done()
    assert future.cancel()  # as one that was cancelled before it began
    assert works(team)


def test_it_is_done_when_nobody_writes_any_more(team: sh.Team, gate: Any) -> None:
    x = sh.zeros(10)
    future = team.submit(hold, x, sh.whole(gate))
    until_inside(gate)
    future.cancel()
    wait([future])
    gate[1] = 1
    assert works(team)
    assert x.tolist() == [0.0] * 10


def test_the_caller_finishes_its_chunk(gate: Any) -> None:
    with sh.Team(1) as team:
        x = sh.zeros(10**6)
        future = team.submit(short, x, sh.whole(gate), chunk=1)
        until_inside(gate)
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result()
        assert works(team)


def test_runs_that_wait_are_cancelled_at_once(team: sh.Team, gate: Any) -> None:
    first = team.submit(hold, sh.zeros(10), sh.whole(gate))
    x = sh.zeros(10)
    second, third = team.submit(increment, x), team.submit(increment, x)
    assert second.cancel()
    assert second.done()
    gate[1] = 1
    assert first.result() is None
    third.result()
    assert x.tolist() == [1.0] * 10


def test_a_run_that_waits_for_one_of_another_thread_is_cancelled(
    team: sh.Team, gate: Any
) -> None:
    thread = threading.Thread(target=team.run, args=(hold, sh.zeros(3), sh.whole(gate)))
    thread.start()
    until_inside(gate)
    x = sh.zeros(10)
    future = team.submit(increment, x)
    while not future.running():
        pass
    assert future.cancel()
    gate[1] = 1
    thread.join()
    with pytest.raises(CancelledError):
        future.result()
    assert x.tolist() == [0.0] * 10


def test_another_threads_run_is_not_cancelled(team: sh.Team, gate: Any) -> None:
    x, other = sh.zeros(10), sh.zeros(2, "i8")
    thread = threading.Thread(target=team.run, args=(hold, x, sh.whole(gate)))
    thread.start()
    until_inside(gate)
    future = team.submit(hold, sh.zeros(10), sh.whole(other))
    while not future.running():
        pass
    future.cancel()
    assert thread.is_alive()
    gate[1] = 1
    thread.join()
    assert x.tolist() == [1.0] * 10


def test_too_late(team: sh.Team) -> None:
    x = sh.zeros(10)
    future = team.submit(increment, x)
    future.result()
    assert not future.cancel()
    assert not future.cancelled()
    assert future.result() is None


def test_from_its_progress_and_from_its_callback(team: sh.Team, gate: Any) -> None:
    found: list[bool] = []
    ready = threading.Event()

    def show(done: int, total: int) -> None:
        ready.wait()
        found.append(future.cancel())

    future = team.submit(hold, sh.zeros(10), sh.whole(gate), progress=show)
    future.add_done_callback(lambda one: found.append(one.cancel()))
    ready.set()
    assert list(as_completed([future])) == [future]
    assert future.cancelled()
    assert works(team)
    assert set(found) == {True}


def test_from_asyncio(team: sh.Team, gate: Any) -> None:
    async def main() -> None:
        task = asyncio.wrap_future(team.submit(hold, sh.zeros(10), sh.whole(gate)))
        await asyncio.to_thread(until_inside, gate)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert works(team)


def test_the_team_closes_after_it(gate: Any) -> None:
    with sh.Team(1, caller_works=False) as team:
        future = team.submit(hold, sh.zeros(10), sh.whole(gate))
        until_inside(gate)
        future.cancel()
    assert future.cancelled()
