"""Results that are arguments stay, however their worker ends."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import ownership_tasks as tasks
import ownership_work as work
import pytest
from ownership_looks import Looks, differences
from ownership_pools import (
    EXECUTORS,
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
NAMES = ["itself", "increased", "three quarters", "strided", "with its view"]


@pytest.fixture(scope="module", autouse=True)
def _helpers() -> None:
    """Start them before leaks are checked."""
    start_helpers()


def take_some(looks: Looks, pool: Any, when: str = "") -> None:
    """Take the results of a few tasks."""
    for i, name in enumerate(NAMES):
        arguments = functools.partial(tasks.do, name), numbered(i)
        looks.take((when, name), call(pool, *arguments))


def by_pickle() -> dict[Any, Any]:
    """Return what is seen of plain results, which nobody changes."""
    looks = Looks()
    with pool_of("executor fork") as pool:
        take_some(looks, pool)
        looks.look_after("later")
    return looks.seen


def assert_as_by_pickle(looks: Looks) -> None:
    looks.look_after("later")
    assert differences(looks.seen, by_pickle()) == []


@all_places
def test_results_outlive_workers_that_end_after_each(kind: str) -> None:
    options = {"maxtasksperchild": 1} if kind in POOLS else {"max_tasks_per_child": 1}
    if kind in ("executor fork", "loky"):
        options = {}  # they refuse it: then the worker ends after all of them
    looks = Looks()
    with sh.installed(), pool_of(kind, **options) as pool:
        take_some(looks, pool)
    assert_as_by_pickle(looks)


@places(POOLS)
def test_results_outlive_a_terminated_pool(kind: str) -> None:
    looks = Looks()
    with sh.installed(), pool_of(kind) as pool:
        take_some(looks, pool)
        pool.terminate()
    assert_as_by_pickle(looks)


@pytest.mark.parametrize("end", [work.kill_self, work.exit_self, work.exit_at_once])
@places(POOLS)
def test_results_outlive_a_worker_that_ends_in_its_next_task(
    kind: str, end: Any
) -> None:
    looks = Looks()
    with sh.installed(), pool_of(kind) as pool:
        take_some(looks, pool)
        (worker,) = pool._pool
        submit(pool, end)  # has no result, ever
        worker.join()
        again = call(pool, tasks.do, "itself", numbered(9))
        pool.terminate()
    assert np.array_equal(again, numbered(9))
    assert_as_by_pickle(looks)


@pytest.mark.parametrize("end", [work.kill_self, work.exit_at_once])
@places(EXECUTORS)
def test_results_outlive_a_broken_executor(kind: str, end: Any) -> None:
    looks = Looks()
    with sh.installed(), pool_of(kind) as pool:
        take_some(looks, pool)
        assert "abruptly" in str(call(pool, end)) or kind == "loky"
    assert_as_by_pickle(looks)


@all_places
def test_arrays_of_the_initializer_are_as_by_pickle(kind: str) -> None:
    def seen() -> dict[Any, Any]:
        looks = Looks()
        initial = {"initializer": work.begin_with, "initargs": (numbered(1),)}
        with pool_of(kind, **initial) as pool:
            steps = [work.return_initial, work.increase_initial, work.return_initial]
            for i, step in enumerate(steps):
                looks.take(i, call(pool, step))
            for i in range(3):
                taken = call(pool, work.take_initial, numbered(i))
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
def test_a_worker_may_change_what_is_installed(kind: str, change: Any) -> None:
    def seen() -> dict[Any, Any]:
        looks = Looks()
        with pool_of(kind) as pool:
            take_some(looks, pool, "before")
            looks.take("change", call(pool, change, numbered(1)))
            looks.overwrite()
            take_some(looks, pool, "after")
        looks.look_after("after the end of the worker")
        return looks.seen

    want = seen()
    with sh.installed():
        assert differences(seen(), want) == []
