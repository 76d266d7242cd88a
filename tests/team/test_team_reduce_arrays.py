"""Arrays that kernels return, and their combination."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import team_tools
from interrupting import Interrupted, interrupt_everywhere
from team_kernels import total
from team_tools import kill, needs_jit, stopped_from_hanging, team_of, until_inside

import sharray as sh
from sharray.team.control import layout as at

settled = team_tools.settled
team = team_of(2)
pytestmark = pytest.mark.slow
REDUCED = {"sum": np.add, "min": np.minimum, "max": np.maximum}


@sh.kernel
def histogram(x: Any) -> Any:
    counts = np.zeros(256, np.int64)
    for i in range(x.shape[0]):
        counts[x[i]] += 1
    return counts


@sh.kernel
def itself(x: Any) -> Any:
    return x


@sh.kernel
def turned(x: Any) -> Any:
    return x.T[::-1]


@sh.kernel
def added(left: Any, right: Any) -> Any:
    left += right
    return left


@sh.kernel
def joined(left: Any, right: Any) -> Any:
    return np.concatenate((left, right))


@sh.kernel
def negative(x: Any) -> Any:
    if x[0] < 0:
        raise ValueError("negative")
    return np.ones(1000)


@sh.kernel
def hold_array(x: Any, gate: Any) -> Any:
    sh.atomic.add(gate, 0, 1)
    while sh.atomic.load(gate, 1) == 0:
        pass
    return x.copy()


def blocks_of(team: Any) -> list[int]:
    words = team._members.crew.control.words
    return [words[at.member(number) + at.BLOCK] for number in range(team.size)]


@pytest.mark.parametrize("options", [{}, {"schedule": "static"}, {"chunk": 7}])
def test_a_histogram_is_that_of_numpy(team: Any, options: Any) -> None:
    values = np.random.default_rng(1).integers(0, 256, 50_000, np.uint8)
    found = team.run(histogram, sh.array(values), reduce="sum", **options)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, np.bincount(values, minlength=256))


@pytest.mark.parametrize("reduce", REDUCED)
@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f4", "c16", "M8[D]", "m8[s]"])
def test_elements_are_combined_as_numpy_does(
    team: Any, dtype: str, reduce: str
) -> None:
    if (reduce == "sum" and dtype[0] == "M") or (reduce != "sum" and dtype[0] == "c"):
        pytest.skip("numpy does not either")
    values = np.arange(24).reshape(8, 3)[::-1].astype("i8").astype(dtype)
    found = team.run(itself, sh.array(values), reduce=reduce, chunk=2)
    parts = [values[begin : begin + 2] for begin in range(0, 8, 2)]
    kind = {"b": "i8", "i": "i8", "u": "u8"}.get(values.dtype.kind, dtype)
    kept = kind if reduce == "sum" else dtype
    expected = REDUCED[reduce].reduce([part.astype(kept) for part in parts])
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_sums_of_narrow_integers_do_not_wrap_around(team: Any) -> None:
    found = team.run(itself, sh.full(8, 200, dtype="u1"), reduce="sum", chunk=2)
    assert found.tolist() == [800, 800]


def test_nan_wins_as_in_numpy(team: Any) -> None:
    x = sh.array([1.0, np.nan, np.nan, 2.0, 3.0, 4.0])
    for reduce in ("min", "max"):
        found = team.run(itself, x, reduce=reduce, chunk=2)
        assert np.isnan(found).all()


def test_arrays_of_any_layout_are_combined(team: Any) -> None:
    values = np.random.default_rng(2).random((6, 4))
    found = team.run(turned, sh.array(values), reduce="sum", chunk=2)
    expected = sum(values[begin : begin + 2].T[::-1] for begin in (0, 2, 4))
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert found.flags.c_contiguous
    assert found.flags.writeable


@pytest.mark.parametrize("reduce", ["sum", added])
def test_the_arguments_do_not_change(team: Any, reduce: Any) -> None:
    values = np.arange(12.0)
    x = sh.array(values)
    found = team.run(itself, x, reduce=reduce, chunk=3)
    assert found.tolist() == values.reshape(4, 3).sum(0).tolist()
    found[:] = -1
    assert x.tolist() == values.tolist()


def test_a_kernel_may_join_arrays(team: Any) -> None:
    x = sh.array(np.arange(30.0))
    found = team.run(itself, x, reduce=joined, schedule="static")
    assert found.tolist() == x.tolist()
    found = team.run(itself, x, reduce=joined, chunk=4)
    assert sorted(found.tolist()) == x.tolist()


def test_arrays_of_different_shapes_are_refused(team: Any) -> None:
    x = sh.array(np.arange(5.0))
    with pytest.raises(sh.KernelError, match="one shape") as caught:
        team.run(itself, x, reduce="sum", chunk=3)
    assert "(3,)" in str(caught.value)
    assert "(2,)" in str(caught.value)
    assert team.run(itself, x[:4], reduce="sum", chunk=2).tolist() == [2, 4]


def test_static_runs_give_the_same_bits(team: Any) -> None:
    x = sh.array(np.random.default_rng(3).random((3000, 5)))
    found = [
        team.run(itself, x, reduce="sum", schedule="static", chunk=10).tobytes()
        for _ in range(5)
    ]
    assert len(set(found)) == 1


def test_an_array_is_returned_once_without_a_split(team: Any) -> None:
    x = sh.array(np.arange(6.0).reshape(2, 3))
    found = team.run(turned, sh.whole(x))
    np.testing.assert_array_equal(found, np.asarray(x).T[::-1])
    assert not np.shares_memory(found, x)


def test_empty_arrays_are_combined(team: Any) -> None:
    assert team.run(itself, sh.zeros((0, 3)), reduce="sum").shape == (0, 3)
    assert team.run(histogram, sh.zeros(0, "u1"), reduce="sum").sum() == 0


def test_arrays_of_text_and_structures_are_refused(team: Any) -> None:
    for dtype in ("U3", [("a", "i4")]):
        x = sh.zeros(3, dtype)
        if not team_tools.is_disabled():
            with pytest.raises(sh.KernelError, match="array of numbers or dates"):
                team.run(itself, sh.whole(x))


# -- the memory of workers ---------------------------------------------------


@needs_jit
def test_no_block_is_left_by_a_run(team: Any) -> None:
    team.run(histogram, sh.zeros(10_000, "u1"), reduce="sum", chunk=10)
    assert not any(blocks_of(team))


@needs_jit
def test_the_run_after_one_that_failed_is_right() -> None:
    with sh.Team(1) as team:
        x = sh.ones(4000)
        x[-1] = -1
        with pytest.raises(ValueError, match="negative"):
            team.run(negative, x, reduce="sum", chunk=1)
        assert blocks_of(team)[0] == 0
        # Of numbers first: they leave the array of the run before alone.
        assert team.run(total, sh.ones(4000), reduce="sum", chunk=1) == 4000
        for _ in range(3):
            found = team.run(negative, sh.ones(40), reduce="sum", chunk=1)
            assert found.tolist() == [40] * 1000
        # A worker frees what it kept when it takes part; in the runs before, the caller
        # may have done all chunks.
        found = team.run(negative, sh.ones(40), reduce="sum", schedule="static")
        assert found.tolist() == [2] * 1000
        assert not any(blocks_of(team))


@needs_jit
def test_the_run_after_a_death_is_right() -> None:
    with sh.Team(1) as team:
        x, gate = sh.ones(4), sh.zeros(2, "i8")
        team.run(itself, x, reduce="sum", chunk=1)
        with stopped_from_hanging(gate):
            future = team.submit(
                hold_array, x, sh.whole(gate), reduce="sum", schedule="static"
            )
            until_inside(gate, 2)
            kill(team.pids()[0])
            team_tools.let_go(gate)
            assert isinstance(future.exception(60), sh.WorkerDied)
        for _ in range(2):
            found = team.run(itself, x, reduce="sum", chunk=1, schedule="static")
            assert found.tolist() == [4]
        assert not any(blocks_of(team))


@needs_jit
def test_a_run_of_arrays_interrupted_at_each_point() -> None:
    before = threading.active_count()
    with sh.Team(1) as team:
        x = sh.array(np.arange(100, dtype="u1"))

        def call() -> None:
            team.run(histogram, x, reduce="sum", schedule="static")

        def check(outcome: Interrupted) -> None:
            found = team.run(histogram, x, reduce="sum", schedule="static", timeout=60)
            assert found.tolist() == [1] * 100 + [0] * 156
            assert not any(blocks_of(team))
            assert all(worker.is_in_sync for worker in team._members.crew.workers)

        call()
        interrupt_everywhere(call, check)
    assert threading.active_count() <= before


# -- loops over prange -------------------------------------------------------


def counted(x: Any) -> Any:
    counts = np.zeros(5, np.int64)
    for i in sh.prange(x.size):
        counts[x[i]] += 1
    return counts


def marked(x: Any) -> Any:
    found = np.zeros((2, x.size), np.bool_)
    for i in sh.prange(1, x.size):
        found[0, i] = x[i] > 2
        found[1, i] = not found[0, i]
    return found


def added_and_subtracted(x: Any) -> Any:
    found = np.zeros((2, 3))
    for i in sh.prange(x.size):
        found[i % 2] += np.ones(3) * x[i]
        found[0, 1] -= 2 * i
    return found


def one_element(x: Any) -> Any:
    found = np.zeros(3)
    for i in sh.prange(x.size):
        found[0] += x[i]
    return found[0]


def untouched(x: Any) -> Any:
    found = np.zeros(x.size)
    for _ in sh.prange(x.size):
        pass
    return found


@pytest.mark.parametrize(
    "function", [counted, marked, added_and_subtracted, one_element, untouched]
)
def test_a_loop_returns_the_array_of_a_direct_call(team: Any, function: Any) -> None:
    values = np.random.default_rng(4).integers(0, 5, 1000)
    expected = function(values)
    found = team.run(sh.kernel(function), sh.array(values), reduce="sum")
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(found, expected)


def flags(x: Any) -> Any:
    found = np.zeros(5, np.int64)
    for i in sh.prange(x.size):
        found[x[i]] = 1
    return found


def last(x: Any) -> Any:
    found = np.zeros(5)
    for i in sh.prange(x.size):
        found[0] = x[i]
    return found[0]


def both_ways(x: Any) -> Any:
    found = np.zeros(x.size)
    for i in sh.prange(x.size):
        found[i] = 1
        found[x[i]] += 1
    return found


def uninitialized(x: Any) -> Any:
    found = np.empty(x.size)
    for i in sh.prange(x.size):
        found[i] = 1
    return found


def from_ones(x: Any) -> Any:
    found = np.ones(5)
    for i in sh.prange(x.size):
        found[x[i]] += 1
    return found


def of_itself(x: Any) -> Any:
    found = np.zeros(5)
    for i in sh.prange(x.size):
        found[x[i]] += found[0] + 1
    return found


def from_both_ends(x: Any) -> Any:
    found = np.zeros(5)
    for i in sh.prange(-3, 3):
        found[i] = i
    return found


def stored_after(x: Any) -> Any:
    found = np.zeros(5)
    for i in sh.prange(x.size):
        found[x[i]] += 1
    found[0] = 7
    return found


def through_a_view(x: Any) -> Any:
    found = np.zeros((5, 2))
    for i in sh.prange(x.size):
        row = found[x[i]]
        row[0] = 1
    return found


def crosswise(x: Any) -> Any:
    found = np.zeros((x.size, x.size))
    for i in sh.prange(x.size):
        found[i, 0] = i
        found[0, i] = -i
    return found


def doubled(x: Any) -> Any:
    found = np.zeros(5)
    for i in sh.prange(x.size):
        found[x[i]] = 2 * found[x[i]] + 1
    return found


def truncated(x: Any) -> Any:
    found = np.zeros(5, np.int64)
    for i in sh.prange(x.size):
        found[x[i]] += -0.5
    return found


def narrow(x: Any) -> Any:
    found = np.zeros(5, np.uint8)
    for i in sh.prange(x.size):
        found[x[i]] += np.uint8(1)
    return found


def of_another_index(x: Any) -> Any:
    found = np.zeros(x.size)
    for i in sh.prange(x.size):
        k = i // 2
        found[k] = i
    return found


def chosen_after(x: Any) -> Any:
    found = 0
    for i in sh.prange(x.size):
        found += x[i]
    if found > 500:
        return found
    return 0


@needs_jit
@pytest.mark.parametrize(
    "function",
    [
        flags, last, both_ways, uninitialized, from_ones, of_itself, from_both_ends,
        stored_after, through_a_view, crosswise, doubled, truncated, narrow,
        of_another_index, chosen_after,
    ],
)  # fmt: skip
def test_arrays_that_do_not_add_up_are_refused(team: Any, function: Any) -> None:
    values = np.random.default_rng(4).integers(0, 5, 1000)
    with pytest.raises(sh.KernelError, match=r"after its loop|not the sum over"):
        team.run(sh.kernel(function), sh.array(values), reduce="sum")
