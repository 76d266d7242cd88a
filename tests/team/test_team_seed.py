"""Random numbers in runs, with a seed and without."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import team_tools
from kernels_elsewhere import as_received
from team_kernels import increment
from team_tools import needs_jit, teams_of

import sharray as sh
from sharray.kernels import seeding

settled = team_tools.settled
pytestmark = pytest.mark.slow
teams = teams_of((0, True), (1, False), (1, True), (3, True))


@sh.kernel
def draw(x: Any, y: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = np.random.random()
        y[i] = random.random()


@sh.kernel
def draw_normal(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = np.random.normal(1.0, 2.0)


@sh.kernel
def draw_in_a_loop(x: Any) -> None:
    for i in sh.prange(x.shape[0]):
        x[i] = np.random.random()


@sh.kernel
def draw_one() -> Any:
    return np.random.random()


@sh.kernel
def draw_or_raise(x: Any) -> Any:
    found = np.random.random()
    if x[0] < 0:
        raise ValueError("negative")
    return found


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
@pytest.mark.parametrize("chunk", [None, 70])
def test_numbers_do_not_depend_on_the_team(
    teams: Any, schedule: str, chunk: Any
) -> None:
    options: Any = {"schedule": schedule, "chunk": chunk, "seed": 5}
    found = set()
    for team in teams:
        x, y, z, p = (sh.zeros(5000) for _ in range(4))
        team.run(draw, x, y, **options)
        team.run(draw_normal, z, **options)
        team.run(draw_in_a_loop, p, **options)
        found.add(tuple(one.tobytes() for one in (x, y, z, p)))
        assert team.run(draw_one, seed=5) == x[0]
    assert len(found) == 1
    assert len(np.unique(x)) == len(np.unique(y)) == 5000
    assert x[0] != y[0]


def test_numbers_are_those_of_numpy_and_python(teams: Any) -> None:
    x, y, z = sh.zeros(120), sh.zeros(120), sh.zeros(120)
    team = teams[-1]
    team.run(draw, x, y, seed=12, chunk=40)
    team.run(draw_normal, z, seed=12, chunk=40)
    for begin in (0, 40, 80):
        state = seeding.state_of(12, begin, seeding.NUMPY)
        numpys = np.random.RandomState()
        numpys.set_state(("MT19937", state, 624, 0, 0.0))
        assert x[begin : begin + 40].tolist() == numpys.random(40).tolist()
        numpys.set_state(("MT19937", state, 624, 0, 0.0))
        np.testing.assert_allclose(z[begin : begin + 40], numpys.normal(1, 2, 40))
        pythons = random.Random()
        words = seeding.state_of(12, begin, seeding.PYTHON).tolist()
        pythons.setstate((3, (*words, 624), None))
        assert y[begin : begin + 40].tolist() == [pythons.random() for _ in range(40)]


def test_seeds_give_different_numbers_and_one_plan_serves_all(teams: Any) -> None:
    team = teams[2]
    x, y = sh.zeros(100), sh.zeros(100)
    seeds = [0, 1, np.uint8(2), 2**64, 2**200]
    found = []
    for seed in seeds * 2:
        team.run(draw, x, y, seed=seed)
        found.append(x.tobytes())
    assert found[:5] == found[5:]
    assert len(set(found)) == 5


def test_states_of_parts_and_modules_differ() -> None:
    states = [
        seeding.state_of(seed, begin, module).tobytes()
        for seed in (0, 1)
        for begin in (-1, 1, 2, 3, 1 << 40)
        for module in (seeding.NUMPY, seeding.PYTHON)
    ]
    assert len(set(states)) == len(states)
    assert (seeding.state_of(0, -1, 0) == seeding.state_of(0, 0, 0)).all()


def test_bits_of_all_states_are_even() -> None:
    words = np.array([seeding.state_of(3, begin, 0) for begin in range(200)])
    ones = np.unpackbits(words.view(np.uint8)).mean()
    assert abs(ones - 0.5) < 5 * 0.5 / np.sqrt(words.size * 32)
    columns = words[:, :50].astype(float)
    correlated = np.corrcoef(columns[:-1].ravel(), columns[1:].ravel())[0, 1]
    assert abs(correlated) < 5 / np.sqrt(columns.size)


@pytest.mark.parametrize("seed", [-1, 1.5, "one", True, [1]])
def test_wrong_seeds_are_refused(teams: Any, seed: Any) -> None:
    x = sh.zeros(3)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"expected seed=.*leave it out"):
            teams[2].run(increment, x, seed=seed)
    teams[2].run(increment, x, seed=1)
    assert x.tolist() == [1, 1, 1]


def test_a_seed_of_a_kept_plan_is_checked(teams: Any) -> None:
    x = sh.zeros(3)
    teams[2].run(increment, x, seed=1)
    with pytest.raises(ValueError, match="expected seed="):
        teams[2].run(increment, x, seed=-1)


def test_a_kernel_without_random_numbers_takes_a_seed(teams: Any) -> None:
    x = sh.zeros(1000)
    teams[2].run(increment, x, seed=1)
    assert x.tolist() == [1] * 1000


@sh.kernel
def seed_own(start: Any) -> None:
    np.random.seed(start)


@needs_jit
def test_a_run_with_a_seed_leaves_the_sequence_alone(teams: Any) -> None:
    team, x = teams[0], sh.ones(30)
    seed_own(7)
    expected = np.random.RandomState(7).random(3).tolist()
    found = [draw_one()]
    team.run(draw_or_raise, x, seed=1, reduce="sum", chunk=3)
    found.append(team.run(draw_one))
    x[-1] = -1
    with pytest.raises(ValueError, match="negative"):
        team.run(draw_or_raise, x, seed=1, reduce="sum", chunk=1)
    found.append(as_received(draw_one, may_compile=True)())
    assert found == expected


def test_pythons_own_sequences_are_left_alone() -> None:
    np.random.seed(3)
    random.seed(3)
    with seeding.seeded(5, 0):
        seeded = np.random.random(), random.random()
    assert np.random.random() == np.random.RandomState(3).random()
    assert random.random() == random.Random(3).random()
    with seeding.seeded(5, 0):
        assert (np.random.random(), random.random()) == seeded


@needs_jit
def test_workers_have_sequences_of_their_own(teams: Any) -> None:
    x, y = sh.zeros(400), sh.zeros(400)
    teams[-1].run(draw, x, y, schedule="static")
    assert len(np.unique(x)) == len(np.unique(y)) == 400
