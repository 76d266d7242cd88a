"""Python functions that ask for their part of a run, and draw random numbers."""

from __future__ import annotations

import random
from typing import Any

import numba
import numpy as np
import pytest
import team_tools
from team_tools import needs_jit, teams_of

import sharray as sh

settled = team_tools.settled
teams = teams_of((0, True), (1, False), (2, True))


def test_functions_know_their_place(teams: Any) -> None:
    def say(x: Any, numbers: Any) -> None:
        x[:] = sh.offset() + np.arange(len(x))
        numbers[:] = sh.member(), sh.members()

    for team in teams:
        for schedule in ("static", "dynamic"):
            x, numbers = sh.zeros(100, int), sh.zeros((100, 2), int)
            team.run(say, x, numbers, schedule=schedule, chunk=7)
            assert x.tolist() == list(range(100))
            assert set(numbers[:, 1].tolist()) == {team.size}
            assert set(numbers[:, 0].tolist()) <= set(range(team.size))
            if schedule == "static":
                expected = np.arange(100) // 7 % team.size
                assert numbers[:, 0].tolist() == expected.tolist()
    assert (sh.member(), sh.members(), sh.offset()) == (0, 1, 0)


@needs_jit
def test_a_compiled_function_is_in_the_part_of_its_caller(teams: Any) -> None:
    @numba.njit
    def ask() -> Any:
        return sh.offset()

    def say(x: Any) -> None:
        x[:] = ask()

    x = sh.zeros(10, int)
    teams[2].run(say, x, chunk=4)
    assert x.tolist() == [0] * 4 + [4] * 4 + [8] * 2


def test_a_function_that_raises_restores_the_part(teams: Any) -> None:
    def fail(x: Any) -> None:
        raise ValueError("as it should")

    with pytest.raises(ValueError, match="as it should"):
        teams[0].run(fail, sh.zeros(10), chunk=3)
    assert (sh.member(), sh.members(), sh.offset()) == (0, 1, 0)


def draw(x: Any, y: Any, z: Any) -> None:
    x[:] = sh.default_rng().random(len(x))
    if sh.default_rng() is not sh.default_rng():
        raise AssertionError("one generator for each part")
    y[:] = np.random.random(len(y))
    for i in range(len(z)):
        z[i] = random.random()


@pytest.mark.parametrize("options", [{}, {"schedule": "static"}, {"chunk": 7}])
def test_numbers_do_not_depend_on_the_team(teams: Any, options: Any) -> None:
    found = set()
    for team in teams:
        arrays = [sh.zeros(1000) for _ in range(3)]
        team.run(draw, *arrays, seed=3, **options)
        assert all(len(np.unique(one)) == 1000 for one in arrays)
        found.add(tuple(one.tobytes() for one in arrays))
    assert len(found) == 1


def test_generators_of_parts_are_spawned_by_their_first_row(teams: Any) -> None:
    arrays = [sh.zeros(20) for _ in range(3)]
    teams[2].run(draw, *arrays, seed=3, chunk=10)
    sequence = np.random.SeedSequence(3, spawn_key=(10,))
    expected = np.random.default_rng(sequence).random(10)
    assert arrays[0][10:].tolist() == expected.tolist()


def test_maps_take_a_seed(teams: Any) -> None:
    def noisy(x: Any) -> Any:
        return x + sh.default_rng().normal(size=x.shape)

    found = [team.map(noisy, np.arange(500.0), seed=8).tobytes() for team in teams]
    assert len(set(found)) == 1
    other = teams[0].map(noisy, np.arange(500.0), seed=9).tobytes()
    assert other != found[0]


@needs_jit
def test_compiled_functions_are_seeded(teams: Any) -> None:
    @numba.njit
    def throw() -> Any:
        return np.random.random(), random.random()

    def fill(x: Any) -> None:
        for i in range(len(x)):
            x[i] = throw()

    throw()
    found = set()
    for team in teams:
        x = sh.zeros((100, 2))
        team.run(fill, x, seed=4)
        found.add(x.tobytes())
    assert len(found) == 1
    assert len(np.unique(x)) == 200


def test_sequences_of_the_caller_are_left_alone(teams: Any) -> None:
    np.random.seed(3)
    random.seed(3)
    teams[0].run(draw, *(sh.zeros(30) for _ in range(3)), seed=1)
    assert np.random.random() == np.random.RandomState(3).random()
    assert random.random() == random.Random(3).random()
    assert sh.default_rng() is not sh.default_rng()


def test_workers_have_generators_of_their_own(teams: Any) -> None:
    x = sh.zeros(30)

    def fill(x: Any) -> None:
        x[:] = sh.default_rng().random(len(x))

    for _ in range(2):
        teams[2].run(fill, x, schedule="static")
        assert len(np.unique(x)) == 30
