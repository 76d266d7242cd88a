"""Results that are arguments stay, however their worker ends."""

from __future__ import annotations

import functools
import os
from typing import Any

import loky.backend.resource_tracker
import numpy as np
import ownership_tasks as tasks
import ownership_work as work
import pytest
from ownership_looks import Looks, differences
from ownership_pools import (
    EXECUTORS,
    POOLS,
    SIZES,
    all_places,
    call,
    numbered,
    places,
    pool_of,
    submit,
)

import sharray as sh

# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
SOON = 120  # seconds; a machine may be busy
NAMES = ["itself", "increased", "three quarters", "strided", "with its view"]


@pytest.fixture(scope="module", autouse=True)
def _helper_process() -> None:
    """Start loky's helper process before leaks are checked."""
    loky.backend.resource_tracker.ensure_running()


@pytest.fixture
def _installed() -> Any:
    with sh.installed():
        yield


def take_some(looks: Looks, pool: Any, nbytes: int, when: str = "") -> None:
    """Take the results of a few tasks."""
    for i, name in enumerate(NAMES):
        arguments = functools.partial(tasks.do, name), numbered(i, nbytes)
        looks.take((when, name), call(pool, *arguments))


def by_pickle(nbytes: int) -> dict[Any, Any]:
    """Return what is seen of plain results, which nobody changes."""
    looks = Looks()
    with pool_of("executor fork") as pool:
        take_some(looks, pool, nbytes)
        looks.look_after("later")
    return looks.seen


def assert_as_by_pickle(looks: Looks, nbytes: int) -> None:
    looks.look_after("later")
    assert differences(looks.seen, by_pickle(nbytes)) == []


@all_places
def test_results_outlive_workers_that_end_after_each(kind: str, nbytes: int) -> None:
    options = {"maxtasksperchild": 1} if kind in POOLS else {"max_tasks_per_child": 1}
    if kind in ("executor fork", "loky"):
        options = {}  # they refuse it: then the worker ends after all of them
    looks = Looks()
    with sh.installed(), pool_of(kind, **options) as pool:
        take_some(looks, pool, nbytes)
    assert_as_by_pickle(looks, nbytes)


@places(POOLS, SIZES)
def test_results_outlive_a_terminated_pool(kind: str, nbytes: int) -> None:
    looks = Looks()
    with sh.installed(), pool_of(kind) as pool:
        take_some(looks, pool, nbytes)
        pool.terminate()
    assert_as_by_pickle(looks, nbytes)


@pytest.mark.parametrize("end", [work.kill_self, work.exit_self, work.exit_at_once])
@places(POOLS, SIZES)
def test_results_outlive_a_worker_that_ends_in_its_next_task(
    kind: str, end: Any, nbytes: int
) -> None:
    looks = Looks()
    with sh.installed(), pool_of(kind) as pool:
        take_some(looks, pool, nbytes)
        (worker,) = pool._pool
        submit(pool, end)  # has no result, ever
        worker.join()
        again = call(pool, tasks.do, "itself", numbered(9, nbytes))
        pool.terminate()
    assert np.array_equal(again, numbered(9, nbytes))
    assert_as_by_pickle(looks, nbytes)


@pytest.mark.parametrize("end", [work.kill_self, work.exit_at_once])
@places(EXECUTORS, SIZES)
def test_results_outlive_a_broken_executor(kind: str, end: Any, nbytes: int) -> None:
    looks = Looks()
    with sh.installed(), pool_of(kind) as pool:
        take_some(looks, pool, nbytes)
        assert "abruptly" in str(call(pool, end)) or kind == "loky"
    assert_as_by_pickle(looks, nbytes)


@all_places
@pytest.mark.usefixtures("_installed")
def test_a_result_arrives_though_its_worker_dies_once_it_is_sent(
    kind: str, nbytes: int
) -> None:
    with pool_of(kind) as pool:
        result, other = call(pool, work.kill_after_result, numbered(1, nbytes))
    assert np.array_equal(result, numbered(1, nbytes))
    assert np.array_equal(other[0], numbered(1, nbytes))


@all_places
@pytest.mark.usefixtures("_installed")
def test_a_result_arrives_before_the_worker_has_dropped_it(
    kind: str, nbytes: int
) -> None:
    path = os.path.abspath("released")
    os.mkfifo(path)
    with pool_of(kind) as pool:
        wait = submit(pool, work.wait_after_result, path, numbered(1, nbytes))
        try:
            result, other = wait(SOON)
        finally:
            work.release(path)
        for i in range(20):
            call(pool, tasks.do, "increased", numbered(i, nbytes))
        assert np.array_equal(result, numbered(1, nbytes)[5:])
        assert np.array_equal(other[0], numbered(1, nbytes))


@all_places
def test_arrays_of_the_initializer_are_as_by_pickle(kind: str, nbytes: int) -> None:
    def seen() -> dict[Any, Any]:
        looks = Looks()
        initial = {"initializer": work.begin_with, "initargs": (numbered(1, nbytes),)}
        with pool_of(kind, **initial) as pool:
            steps = [work.return_initial, work.increase_initial, work.return_initial]
            for i, step in enumerate(steps):
                looks.take(i, call(pool, step))
            for i in range(3):
                taken = call(pool, work.take_initial, numbered(i, nbytes))
                looks.take(("taken", i), taken)
                looks.look(f"later {i}")
                looks.overwrite()
                looks.take(("written", i), call(pool, work.return_initial))
                looks.take(("increased", i), call(pool, work.increase_initial))
        looks.look_after("after the end of the worker")
        return looks.seen

    want = seen()
    with sh.installed():
        assert differences(seen(), want) == []


CHANGES = [
    work.uninstall,
    work.install,
    work.install_without_memory,
    work.uninstall_after_result,
    work.uninstall_while_pickling,
]


@pytest.mark.parametrize("change", CHANGES)
@all_places
def test_a_worker_may_change_what_is_installed(
    kind: str, change: Any, nbytes: int
) -> None:
    def seen() -> dict[Any, Any]:
        looks = Looks()
        with pool_of(kind) as pool:
            take_some(looks, pool, nbytes, "before")
            looks.take("change", call(pool, change, numbered(1, nbytes)))
            looks.overwrite()
            take_some(looks, pool, nbytes, "after")
        looks.look_after("after the end of the worker")
        return looks.seen

    want = seen()
    with sh.installed():
        assert differences(seen(), want) == []
