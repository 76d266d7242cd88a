"""Barriers between processes, compiled or not, some of which fail or are killed."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numba
import pytest

import sharray as sh
from sharray.native.waiting import pause
from sharray.sync.barrier import Barrier

pytestmark = pytest.mark.slow

SPAWN = multiprocessing.get_context("spawn")


def until_waiting(barrier: Any, n: int) -> None:
    while barrier.n_waiting < n:
        pause()


@numba.njit
def wait_in_kernel(barrier: Any, timeout: Any) -> Any:
    return barrier.wait(timeout)


@numba.njit
def take_part(barrier: Any, steps: Any, me: int) -> int:
    """Return how often another party was seen in another step."""
    early = 0
    for number in range(1, 301):
        steps[me] = number
        barrier.wait(500)
        early += (steps < number).sum() + (steps > number).sum()
        barrier.wait(500)
    return early


def party(barrier: Any, steps: Any, me: int, compiled: bool) -> int:
    return int((take_part if compiled else take_part.py_func)(barrier, steps, me))


def wait_for(barrier: Any, timeout: float | None, compiled: bool) -> Any:
    wait = wait_in_kernel if compiled else wait_in_kernel.py_func
    return wait(barrier, timeout)


def test_processes_go_in_step() -> None:
    barrier, steps = Barrier(3), sh.zeros(3, "i8")
    with ProcessPoolExecutor(3, mp_context=SPAWN) as pool:
        parties = [pool.submit(party, barrier, steps, me, me != 1) for me in range(3)]
        assert [one.result() for one in parties] == [0, 0, 0]
    assert steps.tolist() == [300, 300, 300]


@pytest.mark.parametrize("compiled", [False, True])
def test_abort_reaches_other_processes(compiled: bool) -> None:
    barrier = Barrier(2)
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        waiting = pool.submit(wait_for, barrier, None, compiled)
        until_waiting(barrier, 1)
        barrier.abort()
        with pytest.raises(RuntimeError, match="the barrier is broken"):
            waiting.result()


@pytest.mark.parametrize("compiled", [False, True])
def test_a_party_that_is_killed_is_noticed_by_the_timeout(compiled: bool) -> None:
    barrier = Barrier(3)
    victim = SPAWN.Process(target=wait_for, args=(barrier, None, compiled))
    victim.start()
    until_waiting(barrier, 1)
    victim.kill()
    victim.join()
    victim.close()
    assert (barrier.n_waiting, barrier.broken) == (1, False)
    with pytest.raises(threading.BrokenBarrierError):
        wait_for(barrier, 0.01, compiled)
    assert barrier.broken
