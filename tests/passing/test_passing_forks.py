"""Forks and threads while messages travel: each has its own arrays."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import passing_ends as ends
import pytest
from passing_ends import LARGE, SMALL, checksum, close, numbered, receiver_of, started

import sharray as sh

METHODS = ["fork", "spawn", "forkserver"]
# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with sh.installed():
        yield


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    return multiprocessing.get_context(request.param)


# -- forks ----------------------------------------------------------------------


@pytest.mark.parametrize("n", [SMALL, LARGE])
def test_a_fork_has_its_own_copy_of_received_arrays(n: int) -> None:
    reader, writer = FORK.Pipe(False)
    go, start = os.pipe()
    writer.send(numbered(1, n))
    found = reader.recv()

    def write_then_look() -> bool:
        found[0] = -1.0
        os.read(go, 1)
        expected = numbered(1, n)
        expected[0] = -1.0
        return np.array_equal(found, expected)

    is_right = ends.start_fork(write_then_look)
    found[1:] = -2.0
    for number in range(20):  # the child must not see these either
        writer.send(numbered(number, n))
        reader.recv()
    os.write(start, b".")
    assert is_right()
    assert found[0] == 1e7
    assert (found[1:] == -2.0).all()
    os.close(go)
    os.close(start)
    close(reader, writer)


@pytest.mark.parametrize("n", [SMALL, LARGE])
def test_many_forks_see_received_arrays_as_they_were(n: int) -> None:
    reader, writer = FORK.Pipe(False)
    held = []
    for number in range(10):
        writer.send(numbered(number, n))
        held.append(reader.recv())
        numbers = range(number + 1)
        grandchild = lambda: ends.in_a_fork(lambda: ends.is_wrong(held, numbers))  # noqa: B023, E731
        assert not any(ends.in_a_fork(grandchild))
    assert not any(ends.is_wrong(held, range(10)))
    close(reader, writer)


def test_a_receiver_that_forks_takes_no_more_memory_than_one_that_does_not() -> None:
    reader, writer = FORK.Pipe(False)
    for number in range(20):
        writer.send(numbered(number))
        found = reader.recv()
        ends.in_a_fork(lambda: None)
        assert not any(ends.is_wrong([found], [number]))
        del found
    assert len(ends.mapped_files()) <= 2
    close(reader, writer)


def test_forks_amid_sending_threads_inherit_nothing() -> None:
    pipes = [FORK.Pipe(False) for _ in range(2)]
    senders = [
        ends.Sending(writer.send, 1000 * i) for i, (_, writer) in enumerate(pipes)
    ]
    wrong: list[bool] = []

    def receive(reader: Any, number: int) -> None:
        while (found := reader.recv()) is not None:
            wrong.extend(ends.is_wrong([found], [number]))
            number += 1

    receivers = [
        threading.Thread(target=receive, args=(reader, 1000 * i))
        for i, (reader, _) in enumerate(pipes)
    ]
    for thread in [*senders, *receivers]:
        thread.start()
    try:
        # What this process has received is in its children as private memory.
        left = [ends.in_a_fork(shared_files) for _ in range(20)]
    finally:
        for sender in senders:
            sender.stopped.set()
        for thread in [*senders, *receivers]:
            thread.join()
        close(*(end for pair in pipes for end in pair))
    assert left == [[]] * 20
    assert wrong
    assert not any(wrong)


def shared_files() -> list[str]:
    """Return the mapped files of sharray that others could write to."""
    return [line for line in ends.mapped_files() if "rw-s" in line]


# -- threads --------------------------------------------------------------------


def test_threads_send_on_pipes_of_their_own(context: Any) -> None:
    pipes = [FORK.Pipe(False) for _ in range(3)]
    sums = [receiver_of(context) for _ in range(3)]
    close(*(end for pair in pipes for end in pair))

    def send(writer: Any, first: int) -> None:
        for number in range(first, first + 20):
            writer.send(numbered(number))
        writer.send(None)

    threads = [
        threading.Thread(target=send, args=(writer, 100 * i))
        for i, (_, writer, _) in enumerate(sums)
    ]
    for thread in threads:
        thread.start()
    for i, (process, writer, answers) in enumerate(sums):
        found = [answers.recv() for _ in range(20)]
        assert found == [checksum(numbered(100 * i + k)) for k in range(20)]
        process.join()
        close(writer, answers)
    for thread in threads:
        thread.join()


def test_threads_send_through_one_queue(context: Any) -> None:
    there, back = context.Queue(), context.Queue()
    worker = started(context, ends.pass_on, there, back, 60)
    threads = [
        threading.Thread(
            target=lambda first: [there.put(numbered(first + k)) for k in range(20)],
            args=(100 * i,),
        )
        for i in range(3)
    ]
    for thread in threads:
        thread.start()
    found = sorted(checksum(back.get()) for _ in range(60))
    for thread in threads:
        thread.join()
    worker.join()
    sent = [100 * i + k for i in range(3) for k in range(20)]
    assert found == sorted(checksum(numbered(number) + 1) for number in sent)
    close(there, back)


def test_a_thread_receives_while_another_lets_go_of_the_same_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = FORK.Pipe(False)
    locks = sh.system.locks
    unlock = locks.unlock_byte
    found = []

    def receive_meanwhile(fd: int, offset: int) -> None:
        monkeypatch.setattr(locks, "unlock_byte", unlock)
        writer.send(numbered(2))
        thread = threading.Thread(target=lambda: found.append(reader.recv()))
        thread.start()
        thread.join()
        unlock(fd, offset)

    writer.send(numbered(1))
    first = reader.recv()
    monkeypatch.setattr(locks, "unlock_byte", receive_meanwhile)
    del first
    assert not any(ends.is_wrong(found, [2]))
    found.clear()
    sh.gc()
    assert ends.array_descriptors() == []
    close(reader, writer)
