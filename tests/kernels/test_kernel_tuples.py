"""Named tuples as arguments and values of kernels; arguments that are refused."""

from __future__ import annotations

import math
import pickle
from collections import namedtuple
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
import team_tools
from kernels_elsewhere import as_received, by_both_roads
from team_tools import team_of
from workers import run_python

import sharray as sh
from sharray.kernels import tuples

pytestmark = pytest.mark.slow


settled = team_tools.settled
team = team_of(1)

Grid = namedtuple("Grid", "u v")


class Step(NamedTuple):
    """As people write them."""

    size: float
    times: int

    @property
    def whole(self) -> float:
        return self.size * self.times


class Both(NamedTuple):
    grid: Any
    step: Step


@sh.kernel
def double(grid: Any) -> None:
    for i in sh.prange(grid.u.shape[0]):
        grid.v[i] = grid.u[i] * 2


@sh.kernel
def advance(x: Any, step: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += step.size * step.times


@sh.kernel
def advance_grid(both: Any) -> None:
    for i in range(both.grid.u.shape[0]):
        both.grid.v[i] = both.grid.u[i] + both.step.times


@sh.kernel
def extent(x: Any) -> Any:
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i]
    return Step(total, x.shape[0])


def test_arrays_in_a_named_tuple(team: Any) -> None:
    grid = Grid(sh.array(np.arange(1000.0)), sh.zeros(1000))
    team.run(double, grid)
    np.testing.assert_array_equal(grid.v, np.arange(1000.0) * 2)
    private = Grid(np.arange(10.0), np.zeros(10))
    team.run(double, private, copy=True)
    np.testing.assert_array_equal(private.v, private.u * 2)
    as_received(double, may_compile=True)(grid)
    with pytest.raises(sh.NotSharedError):
        team.run(double, private)


def test_numbers_in_a_named_tuple(team: Any) -> None:
    x = sh.zeros(100)
    team.run(advance, x, Step(0.5, 4))
    team.run(advance, x, Step(1.5, 2))
    assert x.tolist() == [5] * 100


def test_named_tuples_within_one_another(team: Any) -> None:
    both = Both(Grid(sh.ones(10), sh.zeros(10)), Step(1.0, 3))
    team.run(advance_grid, sh.whole(both))
    assert both.grid.v.tolist() == [4] * 10
    with pytest.raises(sh.KernelError, match=r"sharray\.whole\(\)"):
        team.run(advance_grid, both)


def test_a_named_tuple_is_a_value(team: Any) -> None:
    x = sh.ones(1000)
    here, received = by_both_roads(extent, x)
    reduced = team.run(extent, x, reduce="sum")
    for found in (here, received, reduced):
        assert found == Step(1000.0, 1000)
        assert type(found) is Step
    assert reduced.whole == 1e6


def test_a_named_tuple_of_small_integers_is_reduced(team: Any) -> None:
    Small = namedtuple("Small", "low high")

    @sh.kernel
    def ends(x: Any) -> Any:
        return Small(x[0], x[-1])

    found = team.run(ends, sh.ones(10, "i4"), reduce="sum", chunk=2)
    assert found == Small(5, 5)
    assert type(found) is Small


def test_two_classes_with_the_same_items_are_two_types(team: Any) -> None:
    @sh.kernel
    def first(pair: Any) -> Any:
        return pair.u

    Other = namedtuple("Other", "v u")
    assert team.run(first, Grid(1.0, 2.0)) == 1.0
    assert team.run(first, Other(1.0, 2.0)) == 2.0


def test_a_class_that_a_process_does_not_know_is_made_again() -> None:
    name = tuples.TupleName("nowhere", "Outer.Unknown", ("a", "b"))
    made: Any = tuples.class_of(name)
    assert made(1, 2).a == 1
    assert tuples.class_of(name) is made
    assert tuples.name_of(made) == name


MAIN = """
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor
import numpy as np, sharray as sh
P = namedtuple("P", "x y")
@sh.kernel
def k(p):
    for i in range(p.x.shape[0]):
        p.y[i] = p.x[i] + 1
if __name__ == "__main__":
    p = P(sh.zeros(5), sh.zeros(5))
    k.compile(p)
    with sh.Team(1, caller_works=False) as team:
        team.run(k, sh.whole(p))
    print(p.y.tolist())
"""


def test_a_class_of_the_main_module_reaches_workers() -> None:
    assert run_python(MAIN) == "[1.0, 1.0, 1.0, 1.0, 1.0]\n"


def test_keys_with_named_tuples_can_be_sent() -> None:
    from sharray.kernels.argument_keys import key_of

    key = key_of(Both(Grid(np.ones(1), 2), Step(1.0, 2)))
    assert pickle.loads(pickle.dumps(key)) == key
    assert str(key).startswith("Both(grid: Grid(u: array(float64, 1d, C), v: int64)")


@numba.njit
def helper(x: Any) -> Any:
    return x + 1


@pytest.mark.parametrize("function", [math.sin, helper, double, len, lambda x: x])
def test_functions_are_no_arguments_but_may_be_called(team: Any, function: Any) -> None:
    @sh.kernel
    def apply(x: Any, function: Any) -> None:
        for i in range(x.shape[0]):
            x[i] = function(x[i])

    with pytest.raises(TypeError, match="call it as a global or closure variable"):
        team.run(apply, sh.zeros(3), function)
