"""Counters and barriers work like Python's, between processes and kernels."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharray.native.waiting import futex_wake, pause
from sharray.sync.barrier import Barrier
from sharray.sync.barrier_protocol import STATE
from sharray.sync.counter import Counter

pytestmark = pytest.mark.slow


SPAWN = multiprocessing.get_context("spawn")
INT64 = st.integers(-(2**62), 2**62 - 1)


@contextmanager
def started(target: Callable[[], object]) -> Iterator[None]:
    """Yield a running thread, and wait for its end."""
    thread = threading.Thread(target=target)
    thread.start()
    yield
    thread.join()


def until_waiting(barrier: Any, n: int) -> None:
    while barrier.n_waiting < n:
        pause()


# -- counters -----------------------------------------------------------------


@numba.njit
def count_in_kernel(counter: Any, n: int, start: int) -> Any:
    before = counter.value
    first = counter.add()
    second = counter.add(n)
    after = counter.value
    counter.reset(start)
    return before, first, second, after


def count_in_python(counter: Any, n: int, start: int) -> Any:
    return count_in_kernel.py_func(counter, n, start)


@pytest.mark.parametrize("count", [count_in_python, count_in_kernel])
@settings(deadline=None)
@given(start=INT64, n=INT64, again=INT64)
def test_counters_count(count: Any, start: int, n: int, again: int) -> None:
    counter = Counter(start)
    found = count(counter, n, again)
    assert found == (start, start, start + 1, start + 1 + n)
    assert counter.value == again


def test_counters_refuse_what_is_no_integer() -> None:
    counter = Counter()
    with pytest.raises(TypeError, match="expected an integer"):
        counter.add(1.5)  # type: ignore[arg-type] # the test's point
    with pytest.raises(numba.TypingError, match="expected an integer"):
        numba.njit(lambda counter: counter.add(1.5))(counter)
    with pytest.raises(OverflowError):
        Counter(2**63)
    assert repr(counter) == "Counter(0)"


@numba.njit
def draw_in_kernel(counter: Any, n: int) -> Any:
    tickets = np.empty(n, np.int64)
    for i in range(n):
        tickets[i] = counter.add()
    return tickets


def draw(counter: Any, n: int, compiled: bool, all_here: Any) -> Any:
    all_here.wait()
    return (draw_in_kernel if compiled else draw_in_kernel.py_func)(counter, n)


def test_no_ticket_is_handed_out_twice() -> None:
    counter, all_here = Counter(), Barrier(3)
    with ProcessPoolExecutor(3, mp_context=SPAWN) as pool:
        drawn = [
            pool.submit(draw, counter, n, n > 10_000, all_here)
            for n in (100_000, 50_000, 2000)
        ]
        tickets = np.concatenate([one.result() for one in drawn])
    np.testing.assert_array_equal(np.sort(tickets), np.arange(152_000))
    assert counter.value == 152_000


def test_handles_lead_to_the_same_counter_and_barrier() -> None:
    counter, barrier = Counter(7), Barrier(2)
    pickle.loads(pickle.dumps(counter)).add(3)
    assert counter.value == 10
    pickle.loads(pickle.dumps(barrier)).abort()
    assert barrier.broken


# -- barriers: the standard library's in threads is the oracle ------------------


@numba.njit(nogil=True)
def wait_in_kernel(barrier: Any, timeout: Any) -> Any:
    return barrier.wait(timeout)


@numba.njit(nogil=True)
def wait_forever_in_kernel(barrier: Any) -> Any:
    return barrier.wait()


class InKernels:
    """A barrier whose methods are called in kernels."""

    def __init__(self, parties: int) -> None:
        self._barrier = Barrier(parties)

    def wait(self, timeout: float | None = None) -> Any:
        if timeout is None:
            return wait_forever_in_kernel(self._barrier)
        return wait_in_kernel(self._barrier, timeout)

    def abort(self) -> None:
        numba.njit(lambda barrier: barrier.abort())(self._barrier)

    def reset(self) -> None:
        numba.njit(lambda barrier: barrier.reset())(self._barrier)

    @property
    def broken(self) -> Any:
        return numba.njit(lambda barrier: barrier.broken)(self._barrier)

    @property
    def parties(self) -> Any:
        return numba.njit(lambda barrier: barrier.parties)(self._barrier)

    @property
    def n_waiting(self) -> int:
        return self._barrier.n_waiting


@pytest.fixture(params=[threading.Barrier, Barrier, InKernels])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_barriers_let_go_of_all_again_and_again(make: Any) -> None:
    barrier, arrived, rounds = make(3), [0, 0, 0], 50
    indices: list[list[int]] = [[], [], []]

    def take_part(me: int) -> None:
        for number in range(rounds):
            arrived[me] = number + 1
            indices[me].append(barrier.wait())
            assert min(arrived) >= number + 1
            barrier.wait()

    with started(lambda: take_part(0)), started(lambda: take_part(1)):
        take_part(2)
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (3, 0, False)
    for each in zip(*indices, strict=True):
        assert sorted(each) == [0, 1, 2]


@pytest.mark.parametrize("ending", ["abort", "reset"])
def test_who_waits_gets_an_error_when_it_ends(make: Any, ending: str) -> None:
    barrier = make(3)
    errors: list[type[Exception]] = []

    def wait() -> None:
        with pytest.raises(RuntimeError) as found:
            barrier.wait()
        errors.append(found.type)

    with started(wait), started(wait):
        until_waiting(barrier, 2)
        getattr(barrier, ending)()
    assert errors == 2 * [threading.BrokenBarrierError]
    assert (barrier.broken, barrier.n_waiting) == (ending == "abort", 0)
    if barrier.broken:
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait()
    barrier.reset()
    with started(barrier.wait), started(barrier.wait):
        assert barrier.wait() in range(3)


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_who_has_waited_too_long_breaks_it(make: Any, timeout: float) -> None:
    barrier = make(2)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(timeout)
    assert (barrier.broken, barrier.n_waiting) == (True, 0)
    barrier.reset()
    assert not barrier.broken
    with started(lambda: barrier.wait(3600)):
        barrier.wait(3600.0)
    assert not barrier.broken


def test_a_barrier_of_one_never_waits(make: Any) -> None:
    assert [make(1).wait(0) for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("parties", [0, -1, 2**16])
def test_a_barrier_needs_parties(parties: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 65535 parties"):
        Barrier(parties)


def test_messages_say_what_to_do() -> None:
    barrier = Barrier(2)
    barrier.abort()
    for wait in (barrier.wait, lambda: wait_forever_in_kernel(barrier)):
        with pytest.raises(RuntimeError, match="find out why, then reset"):
            wait()
    assert repr(barrier) == "<Barrier of 2, broken>"
    assert repr(Barrier(3)) == "<Barrier of 3, 0 waiting>"


def test_waking_without_reason_lets_nobody_go() -> None:
    barrier = Barrier(2)
    with started(barrier.wait):
        for _ in range(3):
            while not futex_wake(barrier._cells, STATE, 1):
                pause()
            assert barrier.n_waiting == 1
        barrier.wait()


def test_generations_and_resets_wrap_around() -> None:
    barrier = Barrier(2)
    barrier._cells[STATE] = 2**62 - 2**48 + 2**32 - 2  # the last ones
    for _ in range(2):
        with started(barrier.wait):
            barrier.wait()
        barrier.abort()
        barrier.reset()
    assert (barrier.broken, barrier.n_waiting) == (False, 0)


def test_a_signal_whose_handler_raises_breaks_the_barrier() -> None:
    barrier = Barrier(2)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    def interrupt() -> None:
        until_waiting(barrier, 1)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with started(interrupt), pytest.raises(KeyboardInterrupt):
            barrier.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert barrier.broken
