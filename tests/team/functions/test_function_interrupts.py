"""Runs of functions, interrupted at each point: the next run is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import functions_elsewhere as elsewhere
import numpy as np
import pytest
import team_tools
from interrupting import Interrupted, interrupt_everywhere
from team_kernels import add

import sharray as sh

pytestmark = [team_tools.needs_jit, pytest.mark.slow]

SOON = 60.0  # seconds; a team that is locked for good raises TimeoutError


@pytest.fixture(name="team", params=[1, 0])
def team_of_its_own(request: pytest.FixtureRequest) -> Iterator[sh.Team]:
    """A team of a worker and the caller, and one of the caller alone."""
    with sh.Team(request.param) as team:
        yield team


def total(x: Any) -> Any:
    return np.array([x.sum(), len(x)])


def check_runs(team: sh.Team) -> Callable[[Interrupted], None]:
    """Return a check that the team runs functions and kernels."""
    x, y = sh.zeros(100), sh.ones(100)

    def check(outcome: Interrupted) -> None:
        assert outcome.raised or outcome.dropped
        before = float(x[0])
        team.run(elsewhere.add, x, timeout=SOON)
        team.run(add, x, 1.0, timeout=SOON)
        assert (np.asarray(x) == before + 2).all()
        found = team.run(total, y, reduce="sum", chunk=9, timeout=SOON)
        assert found.tolist() == [100, 100]
        assert team.map(elsewhere.doubled, y, timeout=SOON).tolist() == [2] * 100
        assert sh.default_rng() is not sh.default_rng()
        assert (sh.member(), sh.members(), sh.offset()) == (0, 1, 0)
        assert all(worker.is_in_sync for worker in team._members.crew.workers)

    return check


def test_a_run_of_a_function(team: sh.Team) -> None:
    x = sh.zeros(100)
    team.run(elsewhere.add, x)
    interrupt_everywhere(
        lambda: team.run(elsewhere.add, x, seed=1), check_runs(team), step=37
    )


def test_a_reduction_of_a_function(team: sh.Team) -> None:
    x = sh.zeros(100)
    table = np.ones(10_000)  # in memory that is made for the run

    def call() -> None:
        found = team.run(
            lambda x, table: total(x) + table[0], x, sh.whole(table), reduce="sum"
        )
        assert found[1] >= 100

    call()
    interrupt_everywhere(call, check_runs(team), step=53)


def test_a_map(team: sh.Team) -> None:
    x = sh.ones(100)

    def call() -> None:
        assert team.map(elsewhere.doubled, x).tolist() == [2] * 100

    call()
    interrupt_everywhere(call, check_runs(team), step=67)
