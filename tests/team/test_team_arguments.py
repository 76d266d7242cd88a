"""Arguments of a run: split, whole or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import team_tools
from team_kernels import add, add_arrays, increment, number_of_chunks
from team_tools import needs_jit, team_of

import sharray as sh

pytestmark = pytest.mark.slow


settled = team_tools.settled
team = team_of(1)


@sh.kernel
def lengths(x: Any, y: Any, seen: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = i
        seen[y.shape[0] - 1] = x.shape[0]


@sh.kernel
def first_of_each(x: Any) -> None:
    """Write the first element; only views of exactly the chunk do this right."""
    x[0] = x.shape[0]


@sh.kernel
def with_defaults(x: Any, factor: Any = 2.0, offset: Any = 1) -> None:
    for i in range(x.shape[0]):
        x[i] = x[i] * factor + offset


@sh.kernel
def from_tuple(x: Any, both: Any, third: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = both[0][0] + both[1] + third[1]


@sh.kernel
def use_none(x: Any, y: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = 1 if y is None else 2


@sh.kernel
def swap_fields(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i].a, x[i].b = np.int16(x[i].b), float(x[i].a)


@sh.kernel
def wait_at(x: Any, barrier: Any) -> None:
    barrier.wait()
    for i in range(x.shape[0]):
        x[i] += 1


def test_arrays_are_split_together_and_chunks_begin_at_0(team: Any) -> None:
    x, y, seen = sh.zeros(100), sh.zeros((100, 2)), sh.zeros(100, "i8")
    team.run(lengths, x, y, sh.whole(seen), chunk=30)
    assert x.tolist() == 3 * list(range(30)) + list(range(10))
    assert np.flatnonzero(seen).tolist() == [9, 29]
    assert seen[[9, 29]].tolist() == [10, 30]


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_a_chunk_has_the_size_that_was_asked_for(team: Any, schedule: str) -> None:
    x = sh.zeros(10)
    team.run(first_of_each, x, chunk=4, schedule=schedule)
    assert x.tolist() == [4, 0, 0, 0, 4, 0, 0, 0, 2, 0]


@pytest.mark.parametrize("axis", [1, -1])
def test_any_axis_can_be_split(team: Any, axis: int) -> None:
    x = sh.zeros((3, 10), order="F")
    y = sh.array(np.arange(30.0).reshape(3, 10))
    team.run(add_arrays, x, y, axis=axis, chunk=3)
    np.testing.assert_array_equal(x, np.arange(30.0).reshape(3, 10))


def test_whole_twice_is_whole(team: Any) -> None:
    x, y = sh.zeros(4), sh.array([1.0, 2.0, 3.0, 4.0])
    team.run(add_arrays, x, sh.whole(sh.whole(y)), chunk=4)
    assert x.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "private",
    [np.zeros(3), sh.zeros(3) + 0, sh.zeros(3)[[0, 1, 2]], sh.zeros(3).copy()],
)
def test_private_arrays_are_refused_with_what_to_do(team: Any, private: Any) -> None:
    message = r"argument 'y' of kernel 'add_arrays' is not shared.*sharray\.array"
    with pytest.raises(sh.NotSharedError, match=message):
        team.run(add_arrays, sh.zeros(3), private)


@pytest.mark.parametrize(
    "private",
    [np.arange(3.0), np.arange(6.0)[::2] / 2, sh.array([0.0, 1, 2])[[0, 1, 2]]],
)
def test_whole_private_arrays_arrive_as_they_are_now(team: Any, private: Any) -> None:
    x = sh.zeros(3)
    team.run(add_arrays, x, sh.whole(private), chunk=4)
    team.run(from_tuple, x, sh.whole((private, 1)), (1, 2))
    private[0] = 5
    x[:] = 0
    team.run(add_arrays, x, sh.whole(private), chunk=4)
    assert x.tolist() == [5, 1, 2]
    assert private.tolist() == [5, 1, 2]


def test_whole_private_arrays_are_read_only(team: Any) -> None:
    private = np.zeros(3)
    with pytest.raises(Exception, match=r"readonly array|read-only"):
        team.run(write_one_read_other, sh.whole(private), sh.zeros(3), chunk=5)
    assert private.tolist() == [0, 0, 0]


def test_private_arrays_with_a_mask_are_refused_as_whole(team: Any) -> None:
    with pytest.raises(TypeError, match="expected a plain array"):
        team.run(add_arrays, sh.zeros(3), sh.whole(np.ma.zeros(3)))


def test_copy_on_write_arrays_are_refused(team: Any) -> None:
    sh.create("x.npy", 3)
    x = sh.open("x.npy", mode="c")
    with pytest.raises(sh.NotSharedError, match="mode='c'"):
        team.run(increment, x)
    team.run(increment, x, copy=True)
    assert x.tolist() == [1, 1, 1]
    assert np.load("x.npy").tolist() == [0, 0, 0]


def test_copy_brings_in_and_back(team: Any) -> None:
    x, y, shared = np.zeros(1000), np.arange(1000.0), sh.ones(1000)
    team.run(add_arrays, x, y, copy=True)
    team.run(add_arrays, x, shared, copy=True)
    np.testing.assert_array_equal(x, np.arange(1000) + 1)
    team.run(add_arrays, shared, x, copy=True)
    assert shared[-1] == 1001


@sh.kernel
def write_one_read_other(x: Any, y: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += 1
        x[i] += y[i]


def test_two_references_to_one_array_stay_one_in_copies(team: Any) -> None:
    x = np.ones(5)
    team.run(write_one_read_other, x, x, copy=True)
    assert x.tolist() == [4] * 5
    team.run(write_one_read_other, x, sh.whole(x), chunk=5, copy=True)
    assert x.tolist() == [10] * 5


@pytest.mark.parametrize(
    "make", [np.asfortranarray, lambda x: x[::-1, ::2], np.asarray]
)
def test_copies_of_any_layout_come_back(team: Any, make: Any) -> None:
    x = make(np.arange(40.0).reshape(4, 10))
    expected = x + 1
    team.run(increment, x, copy=True)
    np.testing.assert_array_equal(x, expected)


def test_copies_of_read_only_arrays_are_read_only(team: Any) -> None:
    x, y = np.zeros(5), np.ones(5)
    y.flags.writeable = False
    team.run(add_arrays, x, y, copy=True)
    assert x.tolist() == [1] * 5


@needs_jit
@pytest.mark.parametrize("how", ["mode", "flag"])
def test_read_only_arrays_cannot_be_written_in_kernels(team: Any, how: str) -> None:
    from numba import TypingError

    sh.create("x.npy", 3)[...] = 1
    x = sh.open("x.npy", mode="r" if how == "mode" else "r+")
    x.flags.writeable = False
    y = sh.zeros(3)
    team.run(add_arrays, y, x)
    assert y.tolist() == [1, 1, 1]
    with pytest.raises(TypingError, match="readonly"):
        team.run(increment, x)
    assert x.tolist() == [1, 1, 1]


def test_lengths_that_differ_are_named(team: Any) -> None:
    with pytest.raises(ValueError, match=r"x: 3, y: 4.*sharray\.whole"):
        team.run(add_arrays, sh.zeros(3), sh.zeros(4))
    with pytest.raises(ValueError, match=r"axis 1, got x: 3, y: 4;"):
        team.run(add_arrays, sh.zeros((2, 3)), sh.zeros((2, 4)), axis=1)


def test_arrays_without_the_axis_are_named(team: Any) -> None:
    with pytest.raises(ValueError, match=r"'y' with 1 dimensions.*axis 1.*whole"):
        team.run(add_arrays, sh.zeros((3, 3)), sh.zeros(3), axis=1)
    with pytest.raises(ValueError, match="'x' with 0 dimensions"):
        team.run(increment, sh.zeros(()))


@needs_jit
def test_arrays_inside_tuples_are_not_split_silently(team: Any) -> None:
    y = sh.array([5.0, 6.0])
    with pytest.raises(sh.KernelError, match=r"'both' is a tuple.*sharray\.whole"):
        team.run(from_tuple, sh.zeros(3), (y, 1), (1, 2))


def test_tuples_numbers_and_none_are_passed(team: Any) -> None:
    x, y = sh.zeros(3), sh.array([5.0, 6.0])
    team.run(from_tuple, x, sh.whole((y, 10)), (1, 2.5))
    assert x.tolist() == [17.5] * 3
    team.run(use_none, x, None)
    assert x.tolist() == [1] * 3
    team.run(use_none, x, 1.0)
    assert x.tolist() == [2] * 3


def test_keywords_and_defaults_are_filled_in(team: Any) -> None:
    x = sh.ones(3)
    team.run(with_defaults, x)
    assert x.tolist() == [3] * 3
    team.run(with_defaults, x, offset=0)
    team.run(with_defaults, offset=-1, x=x, factor=1)
    assert x.tolist() == [5] * 3
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        team.run(with_defaults)
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        team.run(with_defaults, x, other=1)


@needs_jit
@pytest.mark.parametrize("argument", ["text", [1.0], {}, np.float64])
def test_what_kernels_cannot_take_is_refused(team: Any, argument: Any) -> None:
    with pytest.raises(TypeError, match="expected arrays, numbers, tuples"):
        team.run(add, sh.zeros(3), argument)


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i2", "i4", "u8", "f4", "f8", "c8", "c16"]
)
def test_kernels_work_on_any_dtype(team: Any, dtype: str) -> None:
    x = sh.zeros(300, dtype)
    team.run(increment, x, chunk=7)
    np.testing.assert_array_equal(x, np.ones(300, dtype))


@needs_jit
@pytest.mark.parametrize("align", [False, True])
def test_kernels_work_on_structures(team: Any, align: bool) -> None:
    dtype = np.dtype([("a", "i2"), ("b", "f8")], align=align)
    x = sh.zeros(100, dtype)
    x["a"], x["b"] = np.arange(100), -np.arange(100)
    team.run(swap_fields, x)
    assert x["a"].tolist() == [-i for i in range(100)]
    assert x["b"].tolist() == list(range(100))
    team.run(increment, x["b"])  # a view that may not be aligned
    assert x["b"].tolist() == list(range(1, 101))


@needs_jit
def test_the_other_byte_order_is_refused(team: Any) -> None:
    with pytest.raises(TypeError, match="byte order"):
        team.run(increment, sh.zeros(3, ">f8"))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_arrays_without_elements_are_fine(team: Any, shape: tuple[int, ...]) -> None:
    counter = sh.Counter()
    team.run(increment, sh.zeros(shape))
    team.run(number_of_chunks, sh.zeros(shape), counter)
    assert counter.value >= 1


def test_counters_count_chunks(team: Any) -> None:
    counter = sh.Counter(5)
    team.run(number_of_chunks, sh.zeros(100), counter, chunk=7)
    assert counter.value == 5 + 15


@needs_jit
@pytest.mark.parametrize("n", [2, 3, 30, 1000])
def test_all_members_meet_at_a_barrier(team: Any, n: int) -> None:
    with sh.Team(2) as three:
        for used in (team, three):
            x, barrier = sh.zeros(max(n, used.size)), sh.Barrier(used.size)
            for _ in range(3):
                used.run(wait_at, x, barrier, schedule="static", timeout=500)
            assert x.tolist() == [3] * len(x)


@needs_jit
@pytest.mark.parametrize(
    ("n", "parties", "options"),
    [
        (100, 2, {}),
        (100, 3, {"schedule": "static"}),
        (1, 2, {"schedule": "static"}),
        (100, 2, {"schedule": "static", "chunk": 10}),
    ],
)
def test_runs_that_would_wait_for_ever_are_refused(
    team: Any, n: int, parties: int, options: Any
) -> None:
    barrier = sh.Barrier(parties)
    with pytest.raises(ValueError, match=r"barrier for.*schedule='static'"):
        team.run(wait_at, sh.zeros(n), barrier, **options)
    assert not barrier.broken
