"""Waits that Ctrl-C ends, even if it comes just before they sleep."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import pytest
from lost_signals import another_thread_inside, lose_each

from sharray.system import channels, interrupts, thread_locks
from sharray.system.thread_locks import Event, Lock

pytestmark = pytest.mark.timeout(60)  # without slices, they wait for ever


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "SLICE", 0.001)


def held_by_another_thread(lock: Lock) -> AbstractContextManager[None]:
    """Let another thread hold a lock during the block."""

    def hold(wait: Callable[[], object]) -> None:
        with lock:
            wait()

    return another_thread_inside(hold)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_block_that_waits_for_a_lock(reentrant: bool) -> None:
    def call() -> None:
        with lock:
            pytest.fail("another thread has it")

    lock = Lock(reentrant=reentrant)
    with held_by_another_thread(lock):
        lose_each(call, thread_locks, moments=50)
    with lock:
        pass


@pytest.mark.parametrize("seconds", [None, 1e9])
def test_a_lock_that_is_waited_for(seconds: float | None) -> None:
    lock = Lock(reentrant=True)
    with held_by_another_thread(lock):
        lose_each(
            lambda: lock.acquire_within(seconds), thread_locks, interrupts, moments=80
        )
    assert lock.acquire_within(0)
    lock.release()


@pytest.mark.parametrize("seconds", [None, 1e9])
def test_an_event(seconds: float | None) -> None:
    event = Event()
    lose_each(lambda: event.wait(seconds), thread_locks, interrupts, moments=100)
    event.set()
    assert event.wait(seconds)


def test_a_pipe_that_is_full() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(1 << 16))
    lose_each(lambda: channels.wait_for_room(writing), channels, moments=150)
    os.close(reading)
    channels.wait_for_room(writing)
    os.close(writing)


def test_the_time_of_slices_is_over_in_the_end() -> None:
    assert list(interrupts.slices(0)) == list(interrupts.slices(-1)) == [0.0]
    assert max(interrupts.slices(0.01)) <= interrupts.SLICE
    event, lock = Event(), Lock()
    assert not event.wait(0.002)
    with lock:
        assert not lock.acquire_within(0.002)
    reading, writing = os.pipe()
    assert not channels.is_ready(reading, select.POLLIN, 0.002)
    assert channels.is_ready(writing, select.POLLOUT, 0)
    os.close(reading)
    os.close(writing)


def test_all_threads_that_wait_for_an_event_wake() -> None:
    event = Event()
    threads = [threading.Thread(target=event.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    event.set()
    for thread in threads:
        thread.join()
    assert event.wait(0)
