"""`install` in the pools of joblib, loky and multiprocess."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import joblib.externals.loky.backend.resource_tracker
import loky
import loky.backend.resource_tracker
import multiprocess
import multiprocess.forkserver
import multiprocess.resource_tracker
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from passing_tasks import add_one, bases, is_installed
from relay_tasks import came_back, double

import sharray as sh

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _helper_processes() -> None:
    """Start the helper processes of these packages before leaks are checked."""
    multiprocess.resource_tracker.ensure_running()
    multiprocess.forkserver.ensure_running()
    loky.backend.resource_tracker.ensure_running()
    joblib.externals.loky.backend.resource_tracker.ensure_running()


METHODS = ["fork", "spawn", "forkserver"]
LARGE = np.arange(400_000.0)


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with sh.installed():
        yield


def check(answer: tuple[list[str], np.ndarray], *, argument: str) -> None:
    """Check that arrays travel both ways through shared memory, and are equal."""
    came, result = answer
    assert argument in came
    assert "Received" in bases(result)
    assert np.array_equal(result, LARGE + 1)
    assert result.flags.writeable


@pytest.mark.parametrize("method", METHODS)
def test_multiprocess_passes_arrays_through_shared_memory(method: str) -> None:
    with multiprocess.get_context(method).Pool(1) as pool:
        check(pool.apply(add_one, (LARGE,)), argument="Received")
        check(pool.map(add_one, [LARGE])[0], argument="Received")
        # What dill can pickle and pickle cannot.
        check(pool.apply(lambda x: add_one(x), (LARGE,)), argument="Received")
        pool.close()
        pool.join()


@pytest.mark.parametrize("method", METHODS)
def test_multiprocess_queues_pass_arrays_through_shared_memory(method: str) -> None:
    context = multiprocess.get_context(method)
    for queue in (context.Queue(), context.SimpleQueue()):
        queue.put([LARGE, LARGE])
        first, second = queue.get()
        assert first is second
        assert "Received" in bases(first)
        assert np.array_equal(first, LARGE)
        queue.close()
        if hasattr(queue, "join_thread"):
            queue.join_thread()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_multiprocess_are_installed_when_they_begin(method: str) -> None:
    with multiprocess.get_context(method).Pool(1) as pool:
        assert pool.apply(is_installed)
        pool.close()
        pool.join()


def test_loky_passes_arrays_both_ways_through_shared_memory() -> None:
    with loky.ProcessPoolExecutor(1) as executor:
        assert executor.submit(is_installed).result()
        check(executor.submit(add_one, LARGE).result(), argument="Received")
        check(
            executor.submit(lambda x: add_one(x), LARGE).result(), argument="Received"
        )


def test_joblib_maps_arguments_as_before_and_gets_results_by_shared_memory() -> None:
    try:
        found = joblib.Parallel(2)(joblib.delayed(add_one)(LARGE) for _ in range(3))
        for answer in found:
            check(answer, argument="memmap")
        del answer, found
    finally:
        get_reusable_executor().shutdown(wait=True)


def test_joblib_without_its_own_mapping_passes_arguments_by_shared_memory() -> None:
    try:
        parallel = joblib.Parallel(2, max_nbytes=None)
        for answer in parallel(joblib.delayed(add_one)(LARGE) for _ in range(3)):
            check(answer, argument="Received")
        del answer
    finally:
        get_reusable_executor().shutdown(wait=True)


def check_returned(run: Callable[[Any], Any]) -> None:
    """Check that a worker sends arguments back in their files, from the second on."""
    for first in range(4):
        found = run(LARGE + first)
        np.testing.assert_array_equal(found, (LARGE + first) * 2)
        assert first == 0 or came_back(found)


@pytest.mark.parametrize("method", METHODS)
def test_multiprocess_returns_an_argument_in_its_file(method: str) -> None:
    with multiprocess.get_context(method).Pool(1) as pool:
        check_returned(lambda array: pool.apply(double, (array,)))
        pool.close()
        pool.join()


def test_loky_returns_an_argument_in_its_file() -> None:
    with loky.ProcessPoolExecutor(1) as executor:
        check_returned(lambda array: executor.submit(double, array).result())


def test_joblib_returns_an_argument_in_its_file() -> None:
    # One of both workers has at least three results, and its second one comes back.
    # Not in another round: a worker whose results are all kept sends copies.
    parallel = joblib.Parallel(2, max_nbytes=None, batch_size=1)
    try:
        found = parallel(joblib.delayed(double)(LARGE + i) for i in range(6))
        for first, array in enumerate(found):
            np.testing.assert_array_equal(array, (LARGE + first) * 2)
        assert any(map(came_back, found))
        del found, array
    finally:
        get_reusable_executor().shutdown(wait=True)


def test_joblib_still_sends_a_map_of_a_file_as_its_name(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "x", float, "w+", shape=LARGE.shape)
    try:
        (found,) = joblib.Parallel(2)([joblib.delayed(np.asanyarray)(mapped)])
        found[0] = 7
        assert mapped[0] == 7
        del found
    finally:
        get_reusable_executor().shutdown(wait=True)


def test_uninstall_gives_all_of_them_their_own_functions_back() -> None:
    import joblib.externals.loky.backend.queues as vendored
    import loky.backend.queues as queues
    import multiprocess.connection as connection

    hooked = vendored.dumps, queues.dumps, connection.Connection.send
    sh.uninstall()
    plain = vendored.dumps, queues.dumps, connection.Connection.send
    sh.install()
    assert all(a is not b for a, b in zip(hooked, plain, strict=True))
    assert all(f.__module__.split(".")[0] != "sharray" for f in plain)


@pytest.mark.parametrize("threshold", [0, None])
@pytest.mark.parametrize("package", [loky, joblib.externals.loky])
def test_loky_runs_tasks_with_the_standard_pickler(
    threshold: int | None, package: Any
) -> None:
    sh.install(threshold)
    package.set_loky_pickler("pickle")
    try:
        with package.ProcessPoolExecutor(1) as pool:
            assert pool.submit(abs, -1).result(60) == 1
            found = pool.submit(np.sort, LARGE[::-1]).result(60)
    finally:
        package.set_loky_pickler("cloudpickle")
    np.testing.assert_array_equal(found, LARGE)
