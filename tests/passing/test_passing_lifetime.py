"""However a sender or a receiver ends, arrays in messages are right, or gone.

What was received stays as it is, what was sent arrives if anybody still reads, and
what nobody can read any more takes no memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import passing_ends as ends
import pytest
from passing_ends import LARGE, SMALL, checksum, close, numbered, receiver_of, started
from torture.remains import wait_for_locks_of

import sharray as sh
from sharray.system import files

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


# -- the sender ends -----------------------------------------------------------


@pytest.mark.parametrize("end", ["returns", "is terminated", "is killed"])
def test_received_arrays_outlive_their_sender(end: str, context: Any) -> None:
    reader, writer = context.Pipe(False)
    sender = started(context, ends.send_numbered, writer, 3, end != "returns")
    found = [reader.recv() for _ in range(3)]
    if end == "is terminated":
        sender.terminate()
    elif end == "is killed":
        sender.kill()
    sender.join()
    wait_for_locks_of(sender.pid)
    sh.gc()
    assert not any(ends.is_wrong(found, range(3)))
    close(reader, writer)


@pytest.mark.parametrize("n", [SMALL, LARGE])
def test_results_outlive_recycled_workers(n: int, context: Any) -> None:
    with context.Pool(1, maxtasksperchild=1) as pool:
        found = [pool.apply(ends.make_numbered, (i, n)) for i in range(4)]
        pool.close()
        pool.join()
    assert not any(ends.is_wrong(found, range(4)))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_results_outlive_recycled_workers_of_an_executor(method: str) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        found = list(pool.map(ends.make_numbered, range(3)))
    assert not any(ends.is_wrong(found, range(3)))


def test_results_outlive_a_terminated_pool(context: Any) -> None:
    with context.Pool(2) as pool:
        found = pool.map(ends.make_numbered, range(4), chunksize=1)
        pool.terminate()
        pool.join()
    sh.gc()
    assert not any(ends.is_wrong(found, range(4)))


def test_results_outlive_an_executor_that_was_shut_down(context: Any) -> None:
    pool = ProcessPoolExecutor(2, context)
    futures = [pool.submit(ends.make_numbered, i) for i in range(4)]
    pool.shutdown()
    sh.gc()
    found = [future.result() for future in futures]
    assert not any(ends.is_wrong(found, range(4)))


def test_queued_arrays_outlive_their_sender(context: Any) -> None:
    channel = context.Queue()
    sender = started(context, ends.put_numbered, channel, 3)
    sender.join()
    collector = started(context, ends.collect_at_once)
    collector.join()
    assert not any(ends.is_wrong([channel.get() for _ in range(3)], range(3)))
    close(channel)


@pytest.mark.parametrize("method", METHODS)
def test_queued_arrays_outlive_their_sender_and_its_parent(method: str) -> None:
    channel = multiprocessing.get_context(method).Queue()
    middle = started(
        multiprocessing.get_context(method), ends.put_by_another, channel, method
    )
    middle.join()
    started(FORK, ends.collect_at_once).join()
    assert not any(ends.is_wrong([channel.get() for _ in range(2)], range(2)))
    close(channel)


def test_arrays_of_a_child_without_multiprocessing_outlive_it() -> None:
    reader, writer = FORK.Pipe(False)
    if os.fork() == 0:
        try:
            writer.send(numbered(5))
            sh.storage.ending.end()  # as atexit does
        finally:
            os._exit(0)
    os.wait()
    assert not any(ends.is_wrong([reader.recv()], [5]))
    close(reader, writer)


# -- the receiver ends ---------------------------------------------------------


@pytest.mark.parametrize("end", ["returns", "is terminated", "is killed"])
def test_the_memory_that_a_receiver_held_is_used_again(end: str, context: Any) -> None:
    sums = []
    seen = set()
    for number in range(3):
        process, writer, answers = receiver_of(context)
        writer.send(numbered(number))
        sums.append(answers.recv())
        seen |= ends.blocks_in_ram().keys()
        if end == "returns":
            writer.send(None)
        elif end == "is terminated":
            process.terminate()
        else:
            process.kill()
        process.join()
        close(writer, answers)
    assert sums == [checksum(numbered(number)) for number in range(3)]
    if end != "returns":  # else its end has removed the name
        assert len(seen) == 1


def test_a_message_that_cannot_be_sent_takes_no_memory() -> None:
    reader, writer = FORK.Pipe(False)
    reader.close()
    for number in range(100):
        with pytest.raises(BrokenPipeError):
            writer.send(numbered(number))
    assert len(ends.blocks_in_ram()) == 1
    writer.close()


class Unwilling:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError


def test_an_exception_while_pickling_takes_no_memory() -> None:
    reader, writer = FORK.Pipe(False)
    for number in range(100):
        with pytest.raises(ZeroDivisionError):
            writer.send([numbered(number), Unwilling()])
    writer.send(numbered(7))
    assert len(ends.blocks_in_ram()) == 1
    assert not any(ends.is_wrong([reader.recv()], [7]))
    close(reader, writer)


@pytest.mark.parametrize("is_first", [True, False])
def test_ctrl_c_while_copying_takes_no_memory(
    is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = FORK.Pipe(False)
    step: tuple[Any, str] = (files, "write_all_at")  # a new file is written
    if not is_first:
        writer.send(numbered(6))
        assert not any(ends.is_wrong([reader.recv()], [6]))
        step = np, "copyto"
    with monkeypatch.context() as patch:
        patch.setattr(*step, lambda *_: signal.raise_signal(signal.SIGINT))
        for number in range(100):
            with pytest.raises(KeyboardInterrupt):
                writer.send(numbered(number))
    writer.send(numbered(7))
    assert len(ends.blocks_in_ram()) == 1
    assert not any(ends.is_wrong([reader.recv()], [7]))
    close(reader, writer)


def test_ctrl_c_after_writing_does_not_take_the_message_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = FORK.Pipe(False)
    write = type(writer)._send_bytes

    def write_and_be_interrupted(self: Any, data: Any) -> None:
        write(self, data)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(type(writer), "_send_bytes", write_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.send(numbered(0))
    monkeypatch.undo()
    writer.send(numbered(1))
    assert not any(ends.is_wrong([reader.recv(), reader.recv()], range(2)))
    close(reader, writer)


@pytest.mark.parametrize("end", ["returns", "is terminated", "is killed"])
def test_the_memory_of_a_sender_that_ended_goes_back(end: str, context: Any) -> None:
    reader, writer = context.Pipe(False)
    sender = started(context, ends.send_numbered, writer, 5, end != "returns")
    found = [reader.recv() for _ in range(5)]
    del found[1:]
    if end == "is terminated":
        sender.terminate()
    elif end == "is killed":
        sender.kill()
    sender.join()
    wait_for_locks_of(sender.pid)
    taken = ends.blocks_in_ram()
    assert len(taken) == 1
    assert not any(ends.is_wrong(found, [0]))
    found.clear()
    assert ends.blocks_in_ram() == {}
    close(reader, writer)


def test_memory_stays_the_same_in_a_thousand_messages() -> None:
    ours, theirs = FORK.Pipe()
    receiver = started(FORK, ends.report_resources, theirs, 1000)
    for number in range(1000):
        ours.send(numbered(number))
        ours.recv()
    mappings, descriptors = ours.recv()
    assert len(ends.blocks_in_ram()) <= 2
    assert sum(ends.blocks_in_ram().values()) < 2 * 8 * 2 * LARGE
    assert mappings <= 2
    assert descriptors <= 4
    ours.send(None)
    receiver.join()
    close(ours, theirs)


def test_two_hundred_arrays_are_held_at_once() -> None:
    reader, writer = FORK.Pipe(False)
    sender = started(FORK, ends.send_numbered, writer, 200)
    found = [reader.recv() for _ in range(200)]
    sender.join()
    assert not any(ends.is_wrong(found, range(200)))
    close(reader, writer)


# -- others ---------------------------------------------------------------------


def test_both_ends_of_a_queue_in_one_process() -> None:
    channel = FORK.Queue()
    for number in range(10):
        channel.put(numbered(number))
    found = [channel.get() for _ in range(10)]
    assert not any(ends.is_wrong(found, range(10)))
    close(channel)


def test_a_worker_sends_to_another_worker(context: Any) -> None:
    channels = [context.Queue() for _ in range(3)]
    processes = [
        started(context, ends.pass_on, *channels[i : i + 2], 5, daemon=True)
        for i in range(2)
    ]
    for number in range(5):
        channels[0].put(numbered(number))
    found = [channels[2].get() for _ in range(5)]
    for process in processes:
        process.join()
    assert all(np.array_equal(x, numbered(i) + 2) for i, x in enumerate(found))
    close(*channels)
