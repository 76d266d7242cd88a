"""A run inside a run of the same team is refused; it would wait for itself."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import Any

import pytest
import team_tools
from team_tools import team_of

import sharray as sh

settled = team_tools.settled
team = team_of(1)
pytestmark = [pytest.mark.slow, team_tools.needs_jit]


@sh.kernel
def outer(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += 1


@sh.kernel
def inner(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += 10


def errors_inside(run: Any, action: Any) -> list[BaseException]:
    """Return the errors that an action raises inside a run."""
    found: list[BaseException] = []

    def show(done: int, chunks: int) -> None:
        if not found:
            try:
                action()
            except BaseException as error:
                found.append(error)

    run(show)
    return found


@pytest.mark.parametrize("background", [False, True])
def test_a_run_inside_a_run_names_the_run_in_progress(
    team: Any, background: bool
) -> None:
    x, y = sh.zeros(100), sh.zeros(100)
    futures: list[Any] = []

    def submitted() -> Any:
        futures.append(team.submit(inner, y))
        return futures[-1]

    def run(show: Any) -> None:
        if background:
            team.submit(outer, x, progress=show).result()
        else:
            team.run(outer, x, progress=show)

    actions = {
        "run kernel 'inner'": lambda: team.run(inner, y),
        "wait for a submitted run": lambda: submitted().result(),
        "wait for a submitted": lambda: submitted().exception(),
        "close the team": team.close,
    }
    for wish, action in actions.items():
        [error] = errors_inside(run, action)
        assert isinstance(error, sh.TeamError)
        assert f"cannot {wish}" in str(error)
        assert "inside the run of kernel 'outer'" in str(error)
    assert x.tolist() == [4] * 100
    for future in futures:
        future.result()  # outside it can be waited for
    assert y.tolist() == [20] * 100


def test_a_future_from_before_cannot_be_waited_for_either(team: Any) -> None:
    x, y = sh.zeros(10), sh.zeros(10)
    futures: list[Any] = []

    def run(show: Any) -> None:
        team.run(outer, x, progress=show)

    def action() -> None:
        futures.append(team.submit(inner, y))
        futures[0].result()

    [error] = errors_inside(run, action)
    assert isinstance(error, sh.TeamError)
    futures[0].result()  # outside it can
    assert y.tolist() == [10] * 10
    [finished] = errors_inside(run, lambda: futures[0].result() or 1 / 0)
    assert isinstance(finished, ZeroDivisionError)  # done: nothing to wait for


def test_the_thread_of_submitted_runs_cannot_wait_for_the_next(team: Any) -> None:
    x = sh.zeros(10)
    found: list[BaseException] = []
    called = threading.Event()

    def then(_: Any) -> None:
        try:
            team.submit(inner, x).result()
        except BaseException as error:
            found.append(error)
        called.set()

    gate = threading.Event()
    future = team.submit(outer, x, progress=lambda *_: gate.wait(20))
    future.add_done_callback(then)
    gate.set()
    assert called.wait(20)
    assert isinstance(found[0], sh.TeamError)


def test_another_thread_and_another_team_may_run_meanwhile(team: Any) -> None:
    x, y, z = sh.zeros(10), sh.zeros(10), sh.zeros(10)
    with sh.Team(1) as other:
        waiting = threading.Thread(target=team.run, args=(inner, z))

        def action() -> None:
            if waiting.ident is None:  # this is called several times
                waiting.start()
                other.run(inner, y)

        assert (
            errors_inside(lambda show: team.run(outer, x, progress=show), action) == []
        )
        waiting.join()
    assert (x[0], y[0], z[0]) == (1, 10, 10)


def test_futures_are_cancelled_and_fail_as_others_do(team: Any) -> None:
    gate, x = threading.Event(), sh.zeros(10)
    first = team.submit(outer, x, progress=lambda *_: gate.wait(20))
    second, third = team.submit(inner, x), team.submit(inner, "no array")
    assert second.cancel()
    gate.set()
    first.result()
    with pytest.raises(CancelledError):
        second.result()
    with pytest.raises(TypeError):
        third.result()
    assert isinstance(third.exception(), TypeError)
    assert x.tolist() == [1] * 10
