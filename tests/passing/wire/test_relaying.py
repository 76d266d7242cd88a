"""Results that lie in the memory of their arguments go back in the same file."""

from __future__ import annotations

import multiprocessing
import operator
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import relay_tasks as tasks
from relay_tasks import came_back

import sharray as sh

METHODS = ["fork", "spawn", "forkserver"]
LENGTH = 400_000


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with sh.installed():
        yield


@pytest.fixture
def pool() -> Iterator[Any]:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply(tasks.nothing, (numbers(),))
        yield pool
        pool.close()
        pool.join()


def numbers(first: int = 0) -> Any:
    return np.arange(first, first + LENGTH, dtype=float)


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_returns_an_argument_in_the_file_that_it_came_in(method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        for first in range(5):
            found = pool.apply(tasks.double, (numbers(first),))
            np.testing.assert_array_equal(found, 2 * numbers(first))
            assert first == 0 or came_back(found)
        pool.close()
        pool.join()


@pytest.mark.parametrize("method", METHODS)
def test_an_executor_returns_an_argument_in_the_file_that_it_came_in(
    method: str,
) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, context) as executor:
        for first in range(5):
            found = executor.submit(tasks.double, numbers(first)).result()
            np.testing.assert_array_equal(found, 2 * numbers(first))
            assert first == 0 or came_back(found)


def test_the_file_of_a_result_is_used_again_when_the_result_is_gone(pool: Any) -> None:
    found = [pool.apply(tasks.double, (numbers(first),)) for first in range(4)]
    addresses = {array.ctypes.data for array in found}
    assert all(map(came_back, found))
    del found
    more = [pool.apply(tasks.double, (numbers(first),)) for first in range(4)]
    assert {array.ctypes.data for array in more} == addresses


@pytest.mark.parametrize(
    ("task", "comes_back"),
    [
        (tasks.nearly_all, True),
        (tasks.halves, True),
        (tasks.overlapping, False),  # the receiver gets two arrays of its own
        (tasks.small_part, False),  # it would keep five times the memory
        (tasks.with_another, False),
        (tasks.every_other, False),
        (tasks.unaligned, False),
    ],
)
def test_which_results_go_back(pool: Any, task: Any, comes_back: bool) -> None:
    large = np.arange(4.0 * LENGTH)  # also its parts are large enough
    found = pool.apply(task, (large,))
    expected = task(large)
    for array, value in zip(*(as_tuple(x) for x in (found, expected)), strict=True):
        np.testing.assert_array_equal(array, value)
        assert came_back(array) == comes_back
        assert array.flags.writeable
        assert array.flags.aligned
        array[:] = -1  # changes no other
    assert pool.apply(tasks.sums) == []


def as_tuple(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def test_one_of_two_arguments_goes_back(pool: Any) -> None:
    found = pool.apply(np.add, (numbers(1), numbers(2)))
    assert not came_back(found)
    found = pool.apply(operator.iadd, (numbers(1), numbers(2)))
    assert came_back(found)
    np.testing.assert_array_equal(found, numbers(1) + numbers(2))


def test_a_shared_array_beside_it_stays_shared(pool: Any) -> None:
    shared = sh.zeros(1000)
    for _ in range(2):
        found, beside = pool.apply(tasks.with_a_shared_one, (numbers(1), shared))
        assert came_back(found)
        np.testing.assert_array_equal(found, numbers(1))
    beside += 1
    assert shared.sum() == 1000


def test_a_small_result_is_copied(pool: Any) -> None:
    assert not came_back(pool.apply(tasks.nearly_all, (numbers()[: LENGTH // 2],)))


def test_arrays_of_many_tasks_in_one_message_go_back(pool: Any) -> None:
    found = pool.map(tasks.double, [numbers(i) for i in range(6)], chunksize=6)
    for first, array in enumerate(found):
        np.testing.assert_array_equal(array, 2 * numbers(first))
        assert came_back(array)
        array[:] = first
    assert [array[0] for array in found] == list(range(6))


def test_what_the_worker_keeps_is_copied(pool: Any) -> None:
    for first in range(3):
        found = pool.apply(tasks.keep, (numbers(first),))
        np.testing.assert_array_equal(found, numbers(first))
        assert not came_back(found)
        found[:] = -1
    # Later messages do not change it either.
    for _ in range(5):
        pool.apply(tasks.double, (numbers(),))
    assert pool.apply(tasks.sums) == [numbers(first).sum() for first in range(3)]


def test_a_worker_whose_results_stay_copies_the_next_ones(pool: Any) -> None:
    assert not pool.apply(tasks.is_paused)
    pool.apply(tasks.keep, (numbers(),))
    assert pool.apply(tasks.is_paused)
    assert not came_back(pool.apply(tasks.double, (numbers(),)))


def test_what_a_reference_cycle_keeps_is_copied(pool: Any) -> None:
    found = pool.apply(tasks.in_a_cycle, (numbers(),))
    np.testing.assert_array_equal(found, numbers())
    found[:] = -1
    assert pool.apply(tasks.collect) > 0
    np.testing.assert_array_equal(pool.apply(abs, (numbers(),)), numbers())


def test_an_argument_that_overwrites_its_array_when_it_is_freed(pool: Any) -> None:
    for _ in range(3):
        found = pool.apply(tasks.unwrap, (tasks.Wiping(numbers(1)),))
        assert came_back(found)
        np.testing.assert_array_equal(found, numbers(1))


def test_a_thread_that_overwrites_a_result_later(pool: Any) -> None:
    found = pool.apply(tasks.overwrite_later, (numbers(1),))
    pool.apply(tasks.overwrite_now)
    np.testing.assert_array_equal(found, numbers(1))


def test_a_child_that_is_forked_while_a_result_waits(pool: Any) -> None:
    ask, answer = Path("ask"), Path("answer")
    for path in (ask, answer):
        os.mkfifo(path)
    pipes = str(ask.absolute()), str(answer.absolute())
    found = pool.apply(tasks.unwrap, (tasks.Forking(numbers(1), *pipes),))
    np.testing.assert_array_equal(found, numbers(1))
    found[:] = -1
    del found
    for first in range(5):  # in its file, if that was relayed
        pool.apply(tasks.double, (numbers(first),))
    ask.write_bytes(b"")
    assert float(answer.read_text()) == numbers(1).sum()


def test_results_leave_before_the_hooks_go(pool: Any) -> None:
    for first in range(3):
        found = pool.apply(tasks.unwrap, (tasks.Uninstalling(numbers(first)),))
        np.testing.assert_array_equal(found, numbers(first))


def test_a_result_leaves_at_the_end_of_its_worker() -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(1, maxtasksperchild=2) as pool:
        for first in range(6):  # each second one is the last of a process
            found = pool.apply(tasks.double, (numbers(first),))
            np.testing.assert_array_equal(found, 2 * numbers(first))
        pool.close()
        pool.join()


def test_of_results_that_are_kept_the_first_ones_go_back(pool: Any) -> None:
    found = [pool.apply(tasks.double, (numbers(first),)) for first in range(12)]
    assert list(map(came_back, found)) == [True] * 4 + [False] * 8
    for first, array in enumerate(found):
        np.testing.assert_array_equal(array, 2 * numbers(first))
        array[:] = first
    assert [array[-1] for array in found] == list(range(12))


def test_a_forked_child_of_the_receiver_has_its_own_copy(pool: Any) -> None:
    found = pool.apply(tasks.double, (numbers(1),))
    assert came_back(found)
    reader, writer = multiprocessing.Pipe(False)
    with reader, writer:

        def change() -> None:
            found[:] = -1
            writer.send(found[0])

        child = multiprocessing.get_context("fork").Process(target=change)
        child.start()
        assert reader.recv() == -1
        child.join()
    np.testing.assert_array_equal(found, 2 * numbers(1))
    again = pool.apply(tasks.double, (numbers(5),))
    np.testing.assert_array_equal(again, 2 * numbers(5))
    np.testing.assert_array_equal(found, 2 * numbers(1))


def test_a_result_that_waits_is_pickled_by_no_other_pickler(pool: Any) -> None:
    error = pool.apply(tasks.pickle_what_waits, (numbers(),))
    assert "replaced while a result was on its way" in error
