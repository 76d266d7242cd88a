"""Runs on arrays of any shape, type and layout, against NumPy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import team_tools
from hypothesis import given, settings
from hypothesis import strategies as st
from team_kernels import add_arrays, increment, total
from team_tools import teams_of

import sharray as sh

pytestmark = pytest.mark.slow


settled = team_tools.settled
teams = teams_of((0, True), (1, False), (1, True), (2, False), (3, True))


class Cut(NamedTuple):
    """Slices that make a view of a view of any array of a shape."""

    slices: list[tuple[slice, ...]]
    transposed: bool

    def __call__(self, array: Any) -> Any:
        for one in self.slices:
            array = array[one]
        return array.T if self.transposed else array


@st.composite
def arrays(draw: Any) -> tuple[Any, Cut]:
    """Draw a shared array of one or two dimensions, and a slice of it."""
    one, two = st.integers(0, 3000), st.integers(0, 60)
    shape = draw(st.tuples(one) | st.tuples(two, two))
    dtype, order = draw(st.sampled_from(["i8", "f4"])), draw(st.sampled_from("CF"))
    array = sh.zeros(shape, dtype, order=order)
    array[...] = np.arange(array.size).reshape(shape) % 251
    starts, steps = st.sampled_from([None, None, 1, 5]), st.sampled_from([1, 1, 2, -1])
    part = st.builds(slice, starts, st.none(), steps)
    slices = draw(st.lists(st.tuples(*[part] * len(shape)), max_size=2))
    return array, Cut(slices, draw(st.booleans()))


options = st.fixed_dictionaries(
    {
        "schedule": st.sampled_from(["static", "dynamic"]),
        "chunk": st.none() | st.integers(1, 70) | st.just(10**6),
    }
)
chosen = st.integers(0, 4)


@settings(deadline=None, max_examples=200)
@given(both=arrays(), options=options, n=chosen, data=st.data())
def test_every_element_is_visited_exactly_once(
    teams: Any, both: Any, options: Any, n: int, data: Any
) -> None:
    array, cut = both
    view, expected = cut(array), np.array(array)
    oracle = cut(expected)
    oracle += 1
    axis = data.draw(st.integers(-view.ndim, view.ndim - 1))
    teams[n].run(increment, view, axis=axis, **options)
    np.testing.assert_array_equal(array, expected)


@settings(deadline=None, max_examples=60)
@given(
    shape=st.sampled_from([(0,), (1,), (7,), (999,), (30, 41), (0, 5)]),
    options=options,
    n=chosen,
    seed=st.integers(0, 100),
    data=st.data(),
)
def test_arrays_of_different_layouts_stay_in_step(
    teams: Any, shape: Any, options: Any, n: int, seed: int, data: Any
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    values = np.random.default_rng(seed).integers(0, 9, shape).astype("f8")
    x, y = sh.zeros(shape, order="F"), sh.array(values)
    if data.draw(st.booleans()):
        y = y[::-1]
    expected = np.array(y)
    teams[n].run(add_arrays, x, y, axis=axis, **options)
    np.testing.assert_array_equal(x, expected)


@settings(deadline=None, max_examples=60)
@given(both=arrays(), options=options, n=chosen)
def test_sums_are_those_of_numpy(teams: Any, both: Any, options: Any, n: int) -> None:
    array, cut = both
    found = teams[n].run(total, cut(array), reduce="sum", **options)
    assert found == cut(np.array(array)).sum(dtype="f8")


@settings(deadline=None, max_examples=40)
@given(shape=st.sampled_from([(5,), (300,), (20, 30)]), options=options, n=chosen)
def test_copies_come_back_changed(teams: Any, shape: Any, options: Any, n: int) -> None:
    private = np.zeros(shape)
    teams[n].run(increment, private, copy=True, **options)
    np.testing.assert_array_equal(private, np.ones(shape))
