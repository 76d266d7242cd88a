"""Functions whose parameters have the names of options of a run."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import team_tools
from team_tools import team_of

import sharray as sh

settled = team_tools.settled
team = team_of(1)


def double(x: Any, out: Any) -> None:
    np.multiply(x, 2, out=out)


def test_a_run_splits_an_array_that_is_named_out(team: sh.Team) -> None:
    x, y = sh.array(np.arange(100.0)), sh.zeros(100)
    team.run(double, x, y)
    team.run(double, y, out=y)
    assert y.tolist() == (4 * np.arange(100.0)).tolist()


def test_map_calls_functions_with_an_optional_out(team: sh.Team) -> None:
    x = np.random.default_rng(1).random((40, 6))
    cubes = x.reshape(10, 4, 6)
    assert np.allclose(team.map(np.fft.rfft2, cubes), np.fft.rfft2(cubes))
    sums = team.map(functools.partial(np.sum, axis=1), x)
    assert np.array_equal(sums, x.sum(axis=1))


def test_map_with_an_output_refuses_a_function_that_has_one_too(team: sh.Team) -> None:
    x, y = np.ones((4, 3)), sh.zeros(4)
    with pytest.raises(TypeError, match="parameter 'out' of 'sum' has the name of an"):
        team.map(functools.partial(np.sum, axis=1), x, out=y)


def test_map_passes_on_what_only_a_run_has_as_an_option(team: sh.Team) -> None:
    x = np.array([1.0, np.nan])
    found = team.map(np.nan_to_num, x, copy=True)
    assert found.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("options", [{}, {"axis": None}])
def test_an_option_that_nobody_uses_may_be_a_parameter(
    team: sh.Team, options: Any
) -> None:
    x = sh.array(np.arange(12.0).reshape(4, 3))
    assert team.run(np.sum, x, reduce="sum", chunk=2, **options) == 66
    assert team.map(np.sum, x, chunk=1, **options).tolist() == [3, 12, 21, 30]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_an_axis_of_both_is_refused(team: sh.Team, axis: int) -> None:
    x = sh.ones((4, 3))
    for call in (team.map, functools.partial(team.run, reduce="sum")):
        with pytest.raises(TypeError, match=r"functools\.partial\(sum, axis=\.\.\.\)"):
            call(np.sum, x, axis=axis)
    partial = functools.partial(np.sum, axis=1 - axis % 2)
    assert team.run(partial, x, axis=axis, reduce="max", chunk=4).max() >= 3


def test_a_parameter_without_a_default_is_to_be_renamed(team: sh.Team) -> None:
    x = sh.ones((4, 3))
    with pytest.raises(TypeError, match=r"parameter 'copy' of 'store' .*; rename it"):
        team.run(store, x, x)


def store(x: Any, copy: Any) -> None:
    copy[...] = x
