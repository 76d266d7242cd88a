"""Atomic operations between processes: no update is lost, and waiters wake up."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
import workers

import sharray as sh
from sharray.kernels.numba import extension
from sharray.native import atomic
from sharray.native.waiting import futex_wait, futex_wake, now_ns, pause

pytestmark = pytest.mark.slow


extension.register()

MANY = 1_000_000
SECOND = 1_000_000_000


@pytest.fixture
def two_processes() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        yield pool


@numba.njit
def meet(gate: Any) -> None:
    """Start both processes at the same time."""
    atomic.add(gate, 0, 1)
    while atomic.load(gate, 0) < 2:
        pause()


@numba.njit
def count(element: Any, gate: Any, n: int) -> None:
    meet(gate)
    for _ in range(n):
        atomic.add(element, 0, 1)


@numba.njit
def count_in_two_steps(element: Any, gate: Any, n: int) -> None:
    meet(gate)
    for _ in range(n):
        atomic.store(element, 0, atomic.load(element, 0) + 1)


@numba.njit
def count_with_a_lock(element: Any, gate: Any, n: int) -> None:
    meet(gate)
    for _ in range(n):
        while not atomic.compare_exchange(gate, 1, 0, 1)[1]:
            pause()
        element[0] += 1
        atomic.store(gate, 1, 0)


KERNELS = {
    "count": count,
    "two steps": count_in_two_steps,
    "lock": count_with_a_lock,
}


def run(name: str, compiled: bool, element: Any, gate: Any, n: int) -> None:
    kernel = KERNELS[name]
    (kernel if compiled else kernel.py_func)(element, gate, n)


def both(
    pool: ProcessPoolExecutor, name: str, dtype: str, n: int, *, compiled: bool = True
) -> int:
    """Return the count that two processes reach together."""
    element, gate = sh.zeros(1, dtype), sh.zeros(2, "i8")
    started = [pool.submit(run, name, compiled, element, gate, n) for _ in range(2)]
    for one in started:
        one.result()
    return int(element[0])


def test_kernels_of_two_processes_lose_no_count(
    two_processes: ProcessPoolExecutor,
) -> None:
    for dtype in ("i8", "u4", "f8", "f4"):
        assert both(two_processes, "count", dtype, MANY) == 2 * MANY


def test_python_in_two_processes_loses_no_count(
    two_processes: ProcessPoolExecutor,
) -> None:
    for name in ("count", "lock"):
        n = 5000
        assert both(two_processes, name, "i8", n, compiled=False) == 2 * n


def test_without_atomic_addition_counts_are_lost(
    two_processes: ProcessPoolExecutor,
) -> None:
    # However rarely a machine lets both run at once, at some time it does.
    n = MANY
    while both(two_processes, "two steps", "i8", n) == 2 * n:
        n *= 2


def test_a_lock_of_compare_exchange_keeps_others_out(
    two_processes: ProcessPoolExecutor,
) -> None:
    assert both(two_processes, "lock", "i8", 100_000) == 200_000


def test_compiled_and_interpreted_processes_count_together(
    two_processes: ProcessPoolExecutor,
) -> None:
    element, gate = sh.zeros(1, "i8"), sh.zeros(2, "i8")
    started = [
        two_processes.submit(run, "count", compiled, element, gate, 5000)
        for compiled in (True, False)
    ]
    for one in started:
        one.result()
    assert element[0] == 10_000


# -- waiting ------------------------------------------------------------------


@numba.njit(nogil=True)
def wait_in_kernel(array: Any, index: Any, expected: Any, timeout_ns: Any) -> Any:
    return futex_wait(array, index, expected, timeout_ns)


@numba.njit(nogil=True)
def wake_in_kernel(array: Any, index: Any, count: Any) -> Any:
    return futex_wake(array, index, count)


@pytest.fixture(params=[futex_wait, wait_in_kernel], ids=["python", "kernel"])
def wait(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[futex_wake, wake_in_kernel], ids=["python", "kernel"])
def wake(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_nobody_waits_for_what_has_happened(wait: Any, dtype: str) -> None:
    array = sh.full((2, 2), -7, dtype)
    assert wait(array, (1, 1), 0, -1) is True
    assert wait(array, (1, 1), 7, 3600 * SECOND) is True


def test_the_time_to_wait_comes_to_an_end(wait: Any) -> None:
    array = sh.full(1, -7, "i8")
    assert wait(array, 0, -7, 0) is False
    assert wait(array, 0, -7, 1_000_000) is False


@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_who_waits_is_woken(wait: Any, wake: Any, dtype: str) -> None:
    array = sh.full(3, -1, dtype)
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(wait(array, -1, -1, -1)))
    assert wake(array, -1, 1) == 0
    thread.start()
    while not wake(array, -1, 1):
        pause()
    thread.join()
    assert found == [True]


WAITER = """
import numba, pickle, sys
import sharray.kernels.numba.extension
from sharray.native.waiting import futex_wait
sharray.kernels.numba.extension.register()
array = pickle.loads(bytes.fromhex(sys.argv[1]))
compiled = numba.njit(lambda array: futex_wait(array, 0, 0, -1))
print((compiled if sys.argv[2] == "kernel" else compiled.py_func)(array))
"""


@pytest.mark.parametrize("where", ["python", "kernel"])
def test_another_process_is_woken(where: str) -> None:
    array = sh.zeros(1, "i4")
    handle = pickle.dumps(array).hex()
    done: list[Any] = []
    thread = threading.Thread(
        target=lambda: done.append(workers.start_python(WAITER, handle, where))
    )
    thread.start()
    while thread.is_alive() and not futex_wake(array, 0, 1):
        pause()
    thread.join()
    assert done[0].stdout == "True\n", done[0].stderr


def test_only_32_and_64_bit_integers_can_be_waited_for(wait: Any) -> None:
    for array in (np.zeros(1, "i2"), np.zeros(1, "u4"), np.zeros(1)):
        with pytest.raises(
            (TypeError, numba.TypingError), match="futex_wait: expected"
        ):
            wait(array, 0, 0, 0)


def test_clocks_of_python_and_kernels_are_the_same() -> None:
    in_kernel = numba.njit(lambda: now_ns())
    in_kernel()
    before = now_ns()
    assert before <= in_kernel() <= now_ns()
