"""`map`: a new array of what a function returns, against one call on all rows."""

from __future__ import annotations

import os
from typing import Any

import functions_elsewhere as elsewhere
import numpy as np
import pytest
import team_tools
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from team_tools import each_team, needs_jit

import sharray as sh

settled = team_tools.settled
team = each_team()


def doubled(x: Any) -> Any:
    return x * 2


@given(
    array=npst.arrays(
        st.sampled_from(["i4", "f8", "c8", "M8[s]", "S3", "?"]),
        npst.array_shapes(max_dims=3, max_side=9, min_side=0),
    ),
    axis=st.integers(-3, 2),
    chunk=st.none() | st.integers(1, 12),
    is_shared=st.booleans(),
    step=st.sampled_from([1, 2, -1]),
)
def test_rows_come_back_in_their_place(
    team: Any,
    array: np.ndarray[Any, Any],
    axis: int,
    chunk: int | None,
    is_shared: bool,
    step: int,
) -> None:
    if not -array.ndim <= axis < array.ndim:
        axis = 0
    x = sh.array(array)[::step] if is_shared else array[::step]
    found = team.map(lambda x: np.flip(x, -1), x, axis=axis, chunk=chunk)
    if axis % array.ndim == array.ndim - 1:
        return  # the function reverses the rows of each chunk
    expected = np.flip(array[::step], -1)
    assert isinstance(found, sh.SharedArray)
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


def test_results_may_have_another_shape_and_dtype(team: Any) -> None:
    x = np.random.default_rng(1).random((30, 4, 5))
    assert np.allclose(team.map(np.linalg.norm, x[:, 0, 0], chunk=1), x[:, 0, 0])
    sums = team.map(lambda x: x.sum(axis=(1, 2)).astype("f4"), x)
    assert sums.dtype == "f4"
    assert np.allclose(sums, x.sum(axis=(1, 2)))
    columns = team.map(lambda x: x.mean(axis=2), x, axis=1)
    assert np.allclose(columns, x.mean(axis=2))
    twice = team.map(lambda x: np.stack([x, x], axis=1), x)
    assert np.array_equal(twice, np.stack([x, x], axis=1))


def test_an_output_can_be_given(team: Any) -> None:
    x = sh.array(np.arange(12.0).reshape(6, 2))
    y = sh.zeros((6, 2), "f4")
    assert team.map(doubled, x, out=y) is y
    assert np.array_equal(y, np.asarray(x) * 2)
    assert team.map(doubled, x, out=x) is x
    assert np.array_equal(x, y)


def test_an_output_that_does_not_fit_is_refused(team: Any) -> None:
    x = sh.array(np.arange(12.0).reshape(6, 2))
    with pytest.raises(TypeError, match=r"float64 for a chunk.*int64"):
        team.map(doubled, x, out=sh.zeros((6, 2), "i8"))
    with pytest.raises(ValueError, match="6 rows along axis 0"):
        team.map(doubled, x, out=sh.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"expected \(\d, 1\)"):
        team.map(doubled, x, out=sh.zeros((6, 1)))
    with pytest.raises(sh.NotSharedError, match="'out'"):
        team.map(doubled, x, out=np.zeros((6, 2)))
    with pytest.raises(TypeError, match="expected a shared array as out=, got list"):
        team.map(doubled, x, out=[])


def test_an_output_that_overlaps_other_rows_is_refused(team: Any) -> None:
    x = sh.array(np.arange(12.0).reshape(6, 2))
    with pytest.raises(ValueError, match="shares memory with other rows"):
        team.map(doubled, x[1:], out=x[:-1])
    with pytest.raises(ValueError, match="shares memory with other rows"):
        team.map(doubled, x, out=x[::-1])
    with pytest.raises(ValueError, match="shares memory with other rows"):
        team.map(lambda x, y: x + y.sum(), x, sh.whole(x), out=x)


def test_each_chunk_can_give_a_number_or_an_object(team: Any) -> None:
    x = np.arange(10)
    numbers = team.map(lambda x: int(x.sum()), x, chunk=4)
    assert numbers.tolist() == [6, 22, 17]
    assert isinstance(numbers, sh.SharedArray)
    assert team.map(lambda x: {"n": len(x)}, x, chunk=4) == [
        {"n": 4},
        {"n": 4},
        {"n": 2},
    ]
    assert team.map(lambda x: 10**30 * len(x), x, chunk=5) == [5 * 10**30] * 2
    assert team.map(lambda x: None, x, chunk=5) == [None, None]
    assert team.map(len, x, chunk=20).tolist() == [10]


def test_numbers_keep_all_their_digits(team: Any) -> None:
    x = np.arange(4)
    for some in ([2**63 + 1, -1], [2**60 + 1, 0.5], [1e300, 10**400]):
        found = team.map(lambda x, some: some[x[0] // 2], x, some, chunk=2)
        assert found == some
    dates = [np.datetime64("2001-01-01", "ns"), np.datetime64("NaT", "ns")]
    found = team.map(lambda x, some: some[x[0] // 2], x, dates, chunk=2)
    assert found.dtype == "M8[ns]"
    odd = team.map(lambda x: [np.nan, 1][x[0] // 2], x, chunk=2)
    assert np.array_equal(odd, [np.nan, 1], equal_nan=True)


def test_arrays_of_other_lengths_are_joined(team: Any) -> None:
    x = np.arange(20)
    odd = team.map(lambda x: x[x % 2 == 1], x, chunk=6)
    assert odd.tolist() == list(range(1, 20, 2))
    assert isinstance(odd, sh.SharedArray)
    # Here, the first chunk and some others keep all rows.
    for least in (0, 1, 7, 12, 25):
        few = team.map(lambda x, k: x[(x < 6) | (x >= k)], x, least, chunk=6)
        assert few.tolist() == [n for n in range(20) if n < 6 or n >= least]


def test_a_buffer_that_a_function_uses_again_is_copied(team: Any) -> None:
    buffer = []

    def fill(x: Any, buffer: Any) -> Any:
        buffer[:] = buffer or [np.zeros(2)]
        buffer[0][...] = x[0]
        return buffer[0]

    found = team.map(fill, np.arange(5), buffer, chunk=1)
    assert found.tolist() == [n for n in range(5) for _ in range(2)]


def test_values_without_a_number_of_chunks_are_refused(team: Any) -> None:
    x = np.arange(1000)
    with pytest.raises(TypeError, match=r"returned int64 for a chunk.*chunk="):
        team.map(lambda x: x.sum(), x)
    with pytest.raises(TypeError, match=r"returned ndarray for a chunk.*chunk="):
        team.map(lambda x: np.zeros(3000), x)


def test_chunks_must_return_the_same_kind(team: Any) -> None:
    x = np.arange(1000.0)
    with pytest.raises(TypeError, match=r"float64 for a chunk.*int64"):
        team.map(lambda x: x if x[0] >= 8 else x.astype(int), x, chunk=8)
    with pytest.raises(ValueError, match="as many rows as the chunk has"):
        team.map(lambda x: x if x[0] < 1 else x[:0], x)
    with pytest.raises(TypeError, match="MaskedArray"):
        team.map(np.ma.masked_array, x, out=sh.zeros(1000))


def test_each_row_is_computed_once(team: Any) -> None:
    counts = sh.zeros(100, "i8")

    def count(x: Any, counts: Any) -> Any:
        for number in x:
            sh.atomic.add(counts, int(number), 1)
        return x

    team.map(count, np.arange(100), sh.whole(counts))
    assert counts.tolist() == [1] * 100


def test_what_cannot_be_split_is_refused(team: Any) -> None:
    with pytest.raises(TypeError, match="expected an array to split"):
        team.map(doubled, [1, 2, 3])
    with pytest.raises(TypeError, match=r"cannot split argument 'x'.*MaskedArray"):
        team.map(doubled, np.ma.masked_array([1, 2]))
    with pytest.raises(TypeError, match="expected a kernel, a function or a ufunc"):
        team.map("doubled", np.zeros(3))


def test_ordinary_inputs_are_read_only(team: Any) -> None:
    x = np.zeros(5)
    with pytest.raises(ValueError, match="read-only"):
        team.map(elsewhere.add, x)
    assert x.tolist() == [0] * 5


def test_errors_name_the_rows_of_the_whole(team: Any) -> None:
    def check(x: Any) -> Any:
        if x[0] == 8:
            raise ValueError("eight")
        return x

    with pytest.raises(ValueError, match="eight") as caught:
        team.map(check, np.arange(20), chunk=4)
    assert "elements 8 to 11 of 20" in caught.value.__notes__[0]


def test_progress_counts_all_rows_once(team: Any) -> None:
    seen: list[tuple[int, int]] = []
    team.map(doubled, np.zeros(50), chunk=5, progress=lambda *now: seen.append(now))
    assert seen[-1] == (50, 50)
    assert seen == sorted(seen)


@needs_jit
def test_kernels_can_be_mapped(team: Any) -> None:
    @sh.kernel
    def halves(x: Any) -> Any:
        return x / 2

    assert team.map(halves, np.arange(4.0)).tolist() == [0, 0.5, 1, 1.5]


def test_the_default_team_maps_as_well() -> None:
    pids = sh.map(lambda x: np.full(len(x), os.getpid()), np.zeros(100))
    assert pids.shape == (100,)
    assert sh.map(np.add, np.arange(3), 1).tolist() == [1, 2, 3]
