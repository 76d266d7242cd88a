"""Ufuncs in a team, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import team_tools
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from team_tools import team_of

import sharray as sh

settled = team_tools.settled
team = team_of(1)


@given(data=st.data(), axis=st.integers(0, 2), chunk=st.none() | st.integers(1, 4))
def test_shapes_follow_the_rules_of_numpy(
    team: Any, data: st.DataObject, axis: int, chunk: int | None
) -> None:
    shapes, shape = data.draw(
        npst.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=5)
    )
    assume(axis < len(shape))
    rng = np.random.default_rng(0)
    x, y, where = (rng.integers(0, 9, one) for one in shapes)
    out = sh.full(shape, -1, "f8")
    team.run(np.add, x, sh.array(y), out, where=where > 3, axis=axis, chunk=chunk)
    expected = np.full(shape, -1.0)
    np.add(x, y, out=expected, where=where > 3)
    assert np.array_equal(out, expected)
    if axis < np.ndim(x + y):
        assert np.array_equal(team.map(np.add, x, y, axis=axis, chunk=chunk), x + y)


def test_a_square_does_not_confuse_rows_and_columns(team: Any) -> None:
    x, row = sh.array(np.zeros((6, 6))), sh.array(np.arange(6.0))
    out = sh.empty((6, 6))
    team.run(np.add, x, row, out, chunk=1)
    assert np.array_equal(out, np.asarray(x) + np.asarray(row))
    team.run(np.add, x, sh.whole(row), out, chunk=1)
    assert np.array_equal(out, np.asarray(x) + np.asarray(row))
    for argument in (row, sh.whole(row)):
        assert np.array_equal(team.map(np.add, x, argument, chunk=1), out)


def test_an_output_may_be_an_input(team: Any) -> None:
    x = sh.array(np.arange(1000.0))
    team.run(np.sqrt, x, x)
    assert np.array_equal(x, np.sqrt(np.arange(1000.0)))


def test_ufuncs_with_two_outputs(team: Any) -> None:
    x = np.arange(7.0)
    quotient, rest = team.map(np.divmod, x, 2)
    assert np.array_equal(quotient, x // 2)
    assert np.array_equal(rest, x % 2)
    team.run(np.divmod, x, 3, quotient, rest)
    assert np.array_equal(rest, x % 3)


def test_results_have_the_dtype_of_numpy(team: Any) -> None:
    x = np.arange(3, dtype="f4")
    for other in (1, 1.5, np.float64(1.5), np.arange(3)):
        assert team.map(np.add, x, other).dtype == np.add(x, other).dtype
    assert team.map(np.add, x, x, dtype="f8").dtype == np.float64
    assert team.map(np.isfinite, x).dtype == np.bool_


def test_overlapping_outputs_are_refused(team: Any) -> None:
    x = sh.zeros(10)
    with pytest.raises(ValueError, match="shares memory"):
        team.run(np.add, x[1:], 1, x[:-1])
    with pytest.raises(ValueError, match="shares memory"):
        team.run(np.negative, x, x[::-1])
    with pytest.raises(ValueError, match="shares memory"):
        team.run(np.divmod, np.ones(10), 1, x, x)
    with pytest.raises(ValueError, match="shares memory"):
        team.run(np.negative, x, x.view("i8"), casting="unsafe")


def test_wrong_calls_are_refused(team: Any) -> None:
    x = sh.zeros((3, 4))
    with pytest.raises(TypeError, match="1 inputs and 1 outputs for 'sqrt', got 1"):
        team.run(np.sqrt, x)
    with pytest.raises(TypeError, match="pass all of them by position"):
        team.run(np.sqrt, x, out=x)
    with pytest.raises(TypeError, match="works on whole axes"):
        team.run(np.matmul, x, x, x)
    with pytest.raises(sh.NotSharedError, match="'output' of 'sqrt'"):
        team.run(np.sqrt, x, np.zeros((3, 4)))
    with pytest.raises(TypeError, match="expected a shared array as output"):
        team.run(np.sqrt, x, 3)
    with pytest.raises(ValueError, match=r"\(3, 4\) does not fit .* \(4,\)"):
        team.run(np.sqrt, x, sh.zeros(4))
    with pytest.raises(ValueError, match="outputs of one shape"):
        team.run(np.divmod, x, 2, x, sh.zeros(4))
    with pytest.raises(TypeError, match="nothing to reduce"):
        team.run(np.sqrt, x, x, reduce="sum")
    with pytest.raises(TypeError, match="Cannot cast ufunc"):
        team.run(np.sqrt, x, sh.zeros((3, 4), "i8"))


def test_private_outputs_can_be_copied_back(team: Any) -> None:
    x, out = np.arange(9.0), np.zeros(9)
    team.run(np.sqrt, x, out, copy=True)
    assert np.array_equal(out, np.sqrt(x))


def test_where_leaves_the_other_elements_of_a_new_output(team: Any) -> None:
    x, where = np.arange(10.0), np.arange(10) > 3
    found = team.map(np.sqrt, x, where=where)
    assert np.array_equal(found[4:], np.sqrt(x[4:]))
    assert team.map(np.add, 1.0, 2.0, where=where[:4, None] | where).shape == (4, 10)
