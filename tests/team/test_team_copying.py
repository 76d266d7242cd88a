"""``copy=True``: a run on private arrays does what the direct call does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import team_tools
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from team_tools import team_of

import sharray as sh
from sharray.kernels.argument_keys import key_of

pytestmark = pytest.mark.slow


settled = team_tools.settled
team = team_of(1)


@sh.kernel
def shift(to: Any, source: Any) -> None:
    for i in range(min(to.shape[0], source.shape[0])):
        to[i] = source[i] * 2 + 1


def slices() -> Any:
    step = st.integers(-3, 3).filter(bool)
    return st.builds(slice, st.integers(0, 29), st.integers(0, 30), step)


@settings(deadline=None, max_examples=60)
@given(first=slices(), second=slices(), dtype=st.sampled_from(["f8", "i4", "u1"]))
def test_views_of_one_array_share_their_copy(
    team: Any, first: slice, second: slice, dtype: str
) -> None:
    values = np.arange(30, dtype=dtype)
    expected, x = values.copy(), values.copy()
    with np.errstate(over="ignore"):  # as machine code does
        shift.py_func(expected[first], expected[second])
    team.run(shift, sh.whole(x[first]), sh.whole(x[second]), copy=True)
    np.testing.assert_array_equal(x, expected)


def test_fields_and_columns_of_one_array_share_their_copy(team: Any) -> None:
    x = np.zeros(100, [("a", "i1"), ("b", "f8")])
    x["b"] = np.arange(100)
    team.run(shift, x["a"][:50], x["b"][:50], copy=True)
    assert x["a"][:50].tolist() == [2 * i + 1 for i in range(50)]
    y = np.arange(300.0).reshape(100, 3)
    team.run(shift, y[:, 0], y[:, 2], copy=True)
    np.testing.assert_array_equal(y[:, 0], y[:, 2] * 2 + 1)
    assert y[:, 1].tolist() == [3 * i + 1 for i in range(100)]


def test_what_lies_between_two_views_is_left_alone(team: Any) -> None:
    x = np.zeros((10, 3))
    a, b = x[:, 0], x[:, 2]

    @sh.kernel
    def fill(a: Any, b: Any, mark: Any) -> None:
        for i in range(a.shape[0]):
            a[i] = b[i] = mark[0]

    # Somebody else writes there meanwhile: here, the progress that is reported.
    def write(done: int, chunks: int) -> None:
        x[:, 1] = 7

    team.run(fill, a, b, sh.whole(np.ones(1)), copy=True, progress=write)
    assert x.tolist() == [[1, 7, 1]] * 10


def test_one_is_read_only_and_the_other_is_not(team: Any) -> None:
    x = np.arange(5.0)
    y = x[:]
    y.flags.writeable = False
    team.run(shift, x, y, copy=True)
    assert x.tolist() == [1, 3, 5, 7, 9]


def test_elements_that_overlap_themselves_stay_so(team: Any) -> None:
    memory = np.zeros(1)
    x = as_strided(memory, (4,), (0,))

    @sh.kernel
    def count(x: Any) -> None:
        for i in range(x.shape[0]):
            x[i] += 1

    team.run(count, sh.whole(x), copy=True)
    assert memory[0] == 4


def test_arrays_in_tuples_share_their_copy_too(team: Any) -> None:
    @sh.kernel
    def both(pair: Any, x: Any) -> None:
        for i in range(x.shape[0]):
            pair[0][i] = x[i] + 1
            pair[1][0] += 1

    x = np.arange(4.0)
    y = np.zeros(2)
    team.run(both, sh.whole((x[:], y)), sh.whole(x), copy=True)
    assert (x.tolist(), y.tolist()) == ([1, 2, 3, 4], [4, 0])


def test_subclasses_with_a_meaning_of_their_own_are_refused(team: Any) -> None:
    class Metres(np.ndarray[Any, Any]):
        pass

    masked = np.ma.array(np.ones(3), mask=[0, 1, 0])
    matrix = np.ones((3, 3)).view(np.matrix)
    for array in (
        masked,
        matrix,
        np.ones(3).view(Metres),
        np.ones(3).view(np.ma.MaskedArray),
    ):
        for argument in (array, sh.whole(array), (array,)):
            with pytest.raises(TypeError, match=r"plain array.*numpy\.asarray"):
                team.run(shift, argument, argument, copy=True)
        with pytest.raises(TypeError, match="plain array"):
            key_of(array)
    assert masked.data.tolist() == [1, 1, 1]


def test_subclasses_without_one_are_taken(team: Any, tmp_path: Any) -> None:
    memmap = np.memmap(tmp_path / "x", "f8", "w+", shape=5)
    records = np.rec.array(np.zeros(5))
    for x in (memmap, records):
        team.run(shift, x, np.arange(5.0), copy=True)
        assert x.tolist() == [1, 3, 5, 7, 9]


@pytest.mark.parametrize("dtype", [object, np.dtypes.StringDType()])
def test_objects_are_refused_overlapping_or_not(team: Any, dtype: Any) -> None:
    x = np.zeros(3, dtype)
    for one in (x, x[:]):
        with pytest.raises(sh.DtypeError):
            team.run(shift, x, one, copy=True)
