"""Kernels on their way to other processes, with their machine code."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import cloudpickle
import kernels_defined as defined
import numpy as np
import pytest
from kernels_elsewhere import as_received, in_fresh_python, run_script

import sharray as sh

# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
METHODS = ["fork", "spawn", "forkserver"]


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    return multiprocessing.get_context(request.param)


@pytest.fixture
def spawned() -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of one worker that inherits nothing from this process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        yield pool


def test_executor_runs_machine_code_without_numba(context: Any) -> None:
    x = sh.array([1.0, 2.0, 3.0])
    defined.scale.compile(x)
    defined.temporaries.compile(3)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        _, loaded, pid = pool.submit(defined.call, defined.scale, x, 3.0).result()
        other = pool.submit(defined.call, defined.temporaries, 3).result()
    assert pid != os.getpid()
    assert x.tolist() == [3, 6, 9]
    assert other[0] == defined.temporaries.py_func(3) == 20
    if context.get_start_method() != "fork":  # which takes along what is loaded
        assert not loaded
        assert not other[1]


def test_keywords_and_defaults_need_no_numba_either(
    spawned: ProcessPoolExecutor,
) -> None:
    x = sh.array([1.0, 2.0])
    defined.scale.compile(x)
    assert not spawned.submit(defined.call, defined.scale, x).result()[1]
    later = spawned.submit(defined.call, defined.scale, x=x, factor=5.0).result()
    assert not later[1]
    assert x.tolist() == [10, 20]


def test_pool_runs_machine_code_in_all_its_processes(context: Any) -> None:
    x = sh.ones((20, 3))
    defined.scale.compile(x[0])
    with context.Pool(2) as pool:
        pool.starmap(defined.scale, [(x[i], float(i)) for i in range(20)])
        found = pool.map(defined.total, x)
        pool.close()
        pool.join()
    np.testing.assert_array_equal(x, np.arange(20.0)[:, None] * np.ones(3))
    assert found == [3.0 * i for i in range(20)]


def test_nothing_is_compiled_again_where_numba_is_loaded(context: Any) -> None:
    add = defined.adder(2.5)
    assert add(1) == 3.5
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(defined.call_counting, add, 4).result() == (6.5, 0)


def test_other_types_are_compiled_where_they_come_up(context: Any) -> None:
    x = np.arange(4, dtype=np.int16)
    assert defined.first(x) == 0
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(defined.first, x[1:]).result() == 1
        assert pool.submit(defined.first, x.astype("f4") + 0.5).result() == 0.5
        assert pool.submit(defined.first, (7, 8)).result() == 7


def test_machine_code_that_comes_later_is_used_too() -> None:
    add = defined.adder(1)
    there = as_received(add.compile(1), may_compile=True)
    assert there(1.5) == 2.5  # compiles
    add.compile(1j)
    message = pickle.dumps(add).replace(add.identity.encode(), there.identity.encode())
    assert pickle.loads(message) is there
    assert defined.call_counting(there, 1j) == (1 + 1j, 0)


def test_machine_code_is_loaded_once_however_often_it_comes(
    spawned: ProcessPoolExecutor,
) -> None:
    add = defined.adder(2).compile(1)
    calls = [spawned.submit(defined.count_loads, add, i) for i in range(5)]
    assert [call.result() for call in calls] == [(i + 2, 1) for i in range(5)]


def test_other_types_are_compiled_once_however_often_they_come(
    spawned: ProcessPoolExecutor,
) -> None:
    add = defined.adder(2).compile(1)
    assert spawned.submit(add, 0.5).result() == 2.5
    again = spawned.submit(defined.call_counting, add, 1.5).result()
    assert again == (3.5, 0)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_kernel_that_comes_back_is_the_same(protocol: int) -> None:
    add = defined.adder(1)
    add(1)
    assert pickle.loads(pickle.dumps(add, protocol)) is add
    assert pickle.loads(cloudpickle.dumps(add, protocol)) is add
    assert copy.deepcopy([add])[0] is copy.copy(add) is add


def test_kernel_comes_back_from_another_process_as_itself(
    spawned: ProcessPoolExecutor,
) -> None:
    add = defined.adder(1).compile(1)
    assert spawned.submit(copy.copy, add).result() is add


def test_kernel_made_by_a_worker_is_called_here(spawned: ProcessPoolExecutor) -> None:
    add = spawned.submit(defined.adder, 4).result()
    assert add(1) == 5
    message = pickle.dumps(add)
    assert pickle.loads(message) is add


def test_kernel_that_was_never_called_is_compiled_where_it_is(context: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(defined.adder(3), 1).result() == 4


def test_kernel_is_passed_on_by_a_process_that_cannot_use_it() -> None:
    add = defined.adder(3).compile(1)
    first = as_received(add)
    second = as_received(first)
    assert second(1) == 4


def test_kernels_of_one_name_stay_apart_where_both_arrive(
    spawned: ProcessPoolExecutor,
) -> None:
    one, other = defined.adder(1), defined.adder(100)
    assert (one(0), other(0)) == (1, 100)
    assert spawned.submit(defined.both, one, other, 5).result() == (6, 105)
    assert spawned.submit(defined.both, other, one, 5).result() == (105, 6)
    assert (one(0.5), other(0.5)) == (1.5, 100.5)
    assert spawned.submit(defined.both, one, other, 5.5).result() == (6.5, 105.5)


def test_cloudpickle_takes_it_to_a_fresh_interpreter() -> None:
    x = np.arange(3.0)
    defined.total.compile(x)
    found = in_fresh_python(defined.call, defined.total, x)
    assert found[:2] == (3.0, False)


def test_numba_can_be_loaded_after_machine_code_has_run() -> None:
    """Run with the debug checks of the allocator that both use."""
    kernel = sh.kernel(defined.temporaries.py_func).compile(3)
    found = in_fresh_python(defined.mix_allocations, kernel, PYTHONMALLOC="debug")
    assert found == [20.0] * 40


JOBLIB = """
import joblib, numpy as np, sharray as sh, kernels_defined as defined
if __name__ == "__main__":
    x = sh.ones((6, 3))
    defined.scale.compile(x[0], 2.0)
    add = defined.adder(10)
    add.compile(1)
    with joblib.Parallel(2, backend="{backend}") as parallel:
        tasks = [joblib.delayed(defined.scale)(x[i], float(i)) for i in range(6)]
        parallel(tasks)
        assert parallel(joblib.delayed(add)(i) for i in range(4)) == [10, 11, 12, 13]
        print(parallel(joblib.delayed(defined.call)(add, i) for i in range(1))[0][1])
    np.testing.assert_array_equal(x, np.arange(6.0)[:, None] * np.ones(3))
"""


@pytest.mark.parametrize(("backend", "loaded"), [("loky", False), ("threading", True)])
def test_joblib_runs_machine_code(backend: str, loaded: bool, tmp_path: Any) -> None:
    # In a process of its own, since loky's helpers stay until the end.
    out = run_script(tmp_path / "main.py", JOBLIB.format(backend=backend))
    assert out.split() == [str(loaded)]
