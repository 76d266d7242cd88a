"""Results that are arguments, in programs with more than one way for them to travel."""

from __future__ import annotations

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import ownership_tasks as tasks
import ownership_work as work
import passing_ends as ends
import pytest
from ownership_looks import Looks, describe, differences
from ownership_pools import (
    EXECUTORS,
    KINDS,
    NBYTES,
    POOLS,
    all_places,
    call,
    numbered,
    places,
    pool_of,
    start_helpers,
    submit,
)

import sharray as sh

# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def _helpers() -> None:
    """Start them before leaks are checked."""
    start_helpers()


@pytest.fixture
def _installed() -> Any:
    with sh.installed():
        yield


do = functools.partial(functools.partial, tasks.do)


def assert_as_by_pickle(run: Callable[[Looks], None]) -> None:
    """Check that a function takes the same results with and without `install`."""
    want, found = Looks(), Looks()
    run(want)
    want.look_after("at the end")
    with sh.installed():
        run(found)
        found.look_after("at the end")
    assert differences(found.seen, want.seen) == []


def take_further(looks: Looks, pool: Any, when: str) -> None:
    """Take more results of the same size, then look at all of them, and write."""
    for i in range(10):
        looks.take((when, i), call(pool, do("increased"), numbered(i)))
    looks.look(when)
    looks.overwrite()


# -- many arrays of a task ---------------------------------------------------------


@pytest.mark.parametrize("name", ["itself", "increased", "strided", "with its view"])
@all_places
def test_chunks_of_a_map(kind: str, name: str) -> None:
    arrays = [numbered(i) for i in range(24)]

    def run(looks: Looks) -> None:
        with pool_of(kind) as pool:
            found = list(pool.map(do(name), arrays, chunksize=8))
            looks.take("map", found)
            take_further(looks, pool, "later")

    assert_as_by_pickle(run)


@all_places
def test_chunks_of_a_map_of_which_some_are_kept(kind: str) -> None:
    def run(looks: Looks) -> None:
        with pool_of(kind) as pool:
            for i in range(3):
                names = ["itself", "increased", "three quarters", "reversed"] * 6
                kinds = list(range(24))
                arrays = [numbered(i) for i in range(24)]
                columns = names, kinds, arrays
                if kind in POOLS:
                    rows = zip(*columns, strict=True)
                    found = pool.starmap(work.do_and_keep, rows, 8)
                else:
                    found = pool.map(work.do_and_keep, *columns, chunksize=8)
                looks.take(i, list(found))
                take_further(looks, pool, f"later {i}")

    assert_as_by_pickle(run)


@places(POOLS)
def test_results_that_come_one_by_one(kind: str) -> None:
    def run(looks: Looks) -> None:
        arrays = (numbered(i) for i in range(12))
        with pool_of(kind) as pool:
            for i, found in enumerate(pool.imap(do("three quarters"), arrays)):
                looks.take(i, found)
            take_further(looks, pool, "later")

    assert_as_by_pickle(run)


# -- other channels ----------------------------------------------------------------

AT_ONCE = [work.send_and_return, work.send_change_and_return, work.return_then_send]
QUEUED = [kind for kind in KINDS if kind != "loky"]  # loky cannot pass queues on
CHANNELS = [("Queue", work.send_and_return)]
CHANNELS += [("SimpleQueue", task) for task in AT_ONCE]


@pytest.mark.parametrize(("channel", "task"), CHANNELS)
@places(QUEUED)
def test_arrays_that_are_also_put_in_a_queue(
    kind: str, channel: str, task: Any
) -> None:
    def run(looks: Looks) -> None:
        context = multiprocessing.get_context(kind.split()[1])
        queue = getattr(context, channel)()
        options = {"initializer": work.open_channel, "initargs": (queue,)}
        with pool_of(kind, **options) as pool:
            for i in range(4):
                # The pipe of a queue may be too full for another message.
                result = submit(pool, task, numbered(i))
                other = looks.take(("queue", i), queue.get())
                looks.take(("result", i), result())
                del result, other
            take_further(looks, pool, "later")
        ends.close(queue)

    assert_as_by_pickle(run)


@all_places
def test_arrays_that_are_also_given_to_a_manager(kind: str) -> None:
    def run(looks: Looks) -> None:
        with multiprocessing.Manager() as manager, pool_of(kind) as pool:
            shelf = manager.list()
            for i in range(3):
                result = call(pool, work.append_and_return, shelf, numbered(i))
                looks.take(i, result)
            looks.take("shelf", list(shelf))
            take_further(looks, pool, "later")
            looks.take("shelf later", list(shelf))

    assert_as_by_pickle(run)


@places(EXECUTORS)
def test_arrays_that_went_to_an_inner_pool(kind: str) -> None:
    def run(looks: Looks) -> None:
        with pool_of(kind) as pool:
            for i in range(2):
                found = call(pool, work.through_inner_pool, numbered(i))
                looks.take(i, found)
            take_further(looks, pool, "later")

    assert_as_by_pickle(run)


@all_places
def test_results_that_are_arguments_again(kind: str) -> None:
    names = ["increased", "itself", "with its view", "rolled", "reversed"]

    def run(looks: Looks) -> None:
        with pool_of(kind) as first, pool_of(kind) as second:
            array = numbered(1)
            for i in range(12):
                pool, name = (first, second)[i // 2 % 2], names[i % len(names)]
                step = functools.partial(work.do_and_keep, name, i % 9)
                found = looks.take(i, call(pool, step, array))
                array = found[0] if isinstance(found, tuple) else found
            del found, array
            take_further(looks, first, "later")

    assert_as_by_pickle(run)


# -- the caller's threads and forks --------------------------------------------------


@all_places
def test_results_of_tasks_from_several_threads(kind: str) -> None:
    def run(looks: Looks) -> None:
        lists: list[list[Any]] = [[] for _ in range(4)]

        def work_on(pool: Any, number: int) -> None:
            for i in range(8):
                array = numbered(8 * number + i)
                lists[number].append(call(pool, do("three quarters"), array))

        with pool_of(kind, 2) as pool:
            threads = [
                threading.Thread(target=work_on, args=(pool, i)) for i in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for i, found in enumerate(lists):
                looks.take(i, found)
            take_further(looks, pool, "later")

    assert_as_by_pickle(run)


@all_places
@pytest.mark.usefixtures("_installed")
def test_forks_of_the_caller_have_results_of_their_own(kind: str) -> None:
    go, start = os.pipe()
    with pool_of(kind) as pool:
        result = call(pool, do("increased"), numbered(1))

        def write_then_look() -> bool:
            result[0] = -1.0
            os.read(go, 1)
            want = numbered(1) + 1
            want[0] = -1.0
            return np.array_equal(result, want)

        is_right = ends.start_fork(write_then_look)
        for i in range(10):
            call(pool, do("increased"), numbered(i))
        assert np.array_equal(result, numbered(1) + 1)
        result.fill(7)
        os.write(start, b".")
        assert is_right()
        assert (result == 7).all()
    os.close(go)
    os.close(start)


@all_places
def test_results_that_nobody_looks_at(kind: str) -> None:
    def run(looks: Looks) -> None:
        with pool_of(kind) as pool:
            looks.take("first", call(pool, do("increased"), numbered(1)))
            for i in range(20):
                submit(pool, do("three quarters"), numbered(i))
            take_further(looks, pool, "later")

    assert_as_by_pickle(run)


# -- a thread that writes meanwhile --------------------------------------------------


@all_places
@pytest.mark.usefixtures("_installed")
def test_a_result_does_not_change_while_a_thread_writes_to_it(kind: str) -> None:
    with pool_of(kind) as pool:
        for _ in range(5):
            result = call(pool, work.begin_race, np.zeros(NBYTES // 8))
            at_once = describe(result)
            last = call(pool, work.end_race)
            assert describe(result) == at_once
            # Which of the thread's numbers they are is not certain by pickle either.
            assert np.isin(result, np.arange(last + 1)).all()
