"""The memory of messages, and messages without memory."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import numpy as np
import passing_pressure as pressure
import pytest
from belongings import files_in_ram
from passing_pressure import (
    HELD,
    MIB,
    checksum,
    passed,
    payload,
    sent,
    start_program,
    warnings_counted,
)

import sharray as sh
from sharray.storage.messages import outbox, outgoing
from sharray.storage.messages.outgoing import Outgoing
from sharray.system import file_systems, limits

# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def _nothing_kept(tmp_ram: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test its own RAM directory, without files of earlier tests."""
    pressure.forget_outbox()
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)
    yield
    sh.uninstall()
    pressure.forget_outbox()
    sh.gc()


@contextmanager
def answering(target: Any, *arguments: Any) -> Iterator[Connection]:
    """Yield a pipe to a process that answers."""
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(there, *arguments))
    process.start()
    there.close()
    yield here
    process.join()
    here.close()
    assert process.exitcode == 0


# -- what is kept ------------------------------------------------------------


@pytest.mark.parametrize("nbytes", [200_000, HELD])
def test_a_thousand_messages_of_one_size_take_one_file_in_each_direction(
    nbytes: int,
) -> None:
    with sh.installed(), answering(pressure.answer_with_twice) as pipe:
        x = payload(1, nbytes)
        for _ in range(1000):
            pipe.send(x)
            np.testing.assert_array_equal(pipe.recv(), x * 2)
        assert len(files_in_ram()) == 2
        pipe.send(None)


@pytest.mark.parametrize("nbytes", [70_000, HELD, MIB, MIB + 1, 5 * MIB, 40 * MIB])
def test_a_file_is_a_quarter_larger_than_its_message_at_most(nbytes: int) -> None:
    outgoing = outbox.take(nbytes, 100 * MIB)
    assert nbytes <= outgoing.capacity <= nbytes + max(nbytes // 4, 1 << 18)
    outgoing.recall()
    # Somewhat more fits as well, and much less does not use up so much.
    again = outbox.take(outgoing.capacity, 100 * MIB)
    assert again is outgoing
    again.recall()
    if nbytes >= 5 * MIB:
        small = outbox.take(nbytes // 4, 100 * MIB)
        assert small.capacity < nbytes // 2
        small.recall()


def test_the_smallest_file_that_fits_is_used() -> None:
    taken = [outbox.take(n * MIB, 100 * MIB) for n in (4, 2, 3)]
    for each in taken:
        each.recall()
    found = outbox.take(2 * MIB - 5, 100 * MIB)
    assert found is taken[1]
    found.recall()


def test_the_file_longest_unused_goes_first() -> None:
    budget = 3 * MIB
    taken = [outbox.take(MIB, budget) for _ in range(3)]
    for i in (1, 0, 2):
        taken[i].recall()
    paths = [outgoing.segment.path for outgoing in taken]
    outbox.take(2 * MIB, budget).recall()
    assert [os.path.exists(path) for path in paths] == [False, False, True]


def test_files_in_use_are_never_closed_for_others() -> None:
    with sh.installed(budget=3 * MIB):
        held = passed(payload(1, MIB))
        waiting = sent(payload(2, MIB))
        passed(payload(3, MIB))
        passed(payload(4, MIB // 2))
        assert checksum(held) == checksum(payload(1, MIB))
        assert checksum(pickle.loads(waiting)) == checksum(payload(2, MIB))
        assert pressure.bytes_in_ram() < 3 * MIB + 3 * 8192 + 8192


def test_files_unused_for_a_minute_go_back_with_the_next_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(outbox, "clock", clock)
    monkeypatch.setattr(outgoing, "clock", clock)
    outbox.take(8 * MIB, 100 * MIB).recall()
    now[0] += 59
    outbox.take(MIB, 100 * MIB).recall()
    assert pressure.bytes_in_ram() > 9 * MIB
    now[0] += 2
    outbox.take(MIB, 100 * MIB).recall()
    assert pressure.bytes_in_ram() < 2 * MIB


@pytest.mark.parametrize("call", [sh.gc, sh.uninstall])
def test_memory_goes_back_though_the_receiver_has_it_mapped(call: Any) -> None:
    sh.install()
    with answering(pressure.answer_with_twice) as pipe:
        x = payload(1, 8 * MIB)
        pipe.send(x)
        back = pipe.recv()
        assert pressure.bytes_in_ram() > 16 * MIB
        call()
        # The answer is the other process's.
        assert pressure.bytes_in_ram() < 9 * MIB
        assert checksum(back) == checksum(x * 2)
        del back
        pipe.send(x)
        assert checksum(pipe.recv()) == checksum(x * 2)
        pipe.send(None)


def test_gc_has_back_what_lies_in_pipes_that_are_closed_everywhere() -> None:
    with sh.installed():
        receiving, sending = multiprocessing.Pipe(duplex=False)
        sending.send(np.ones(MIB))
        sh.gc()
        assert len(files_in_ram()) == 1  # somebody may still receive it
        receiving.close()
        sending.close()
        sh.gc()
        assert files_in_ram() == []


def test_a_quarter_of_the_free_memory_is_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[Outgoing] = []
    free = 8 * MIB
    monkeypatch.setattr(file_systems, "free_bytes", lambda _: 1 << 40)
    monkeypatch.setattr(
        limits, "available_memory", lambda: free - sum(o.capacity for o in taken)
    )
    taken.append(outbox.take(MIB, None))
    taken.append(outbox.take(MIB, None))
    with pytest.raises(sh.NoSpaceError, match="2097152 bytes that are allowed"):
        outbox.take(MIB, None)
    for each in taken:
        each.recall()


def test_no_more_files_are_used_than_a_process_has_descriptors_for() -> None:
    with sh.installed(), warnings_counted() as found:
        waiting = [sent(payload(seed, 140_000)) for seed in range(200)]
        assert len(files_in_ram()) <= 64
        for seed, message in enumerate(waiting):
            assert checksum(pickle.loads(message)) == checksum(payload(seed, 140_000))
    assert found == []


# -- when the budget is used up ------------------------------------------------


@pytest.mark.parametrize("budget", [0, HELD // 2])
def test_a_message_beyond_the_budget_is_pickled_with_one_warning(budget: int) -> None:
    with sh.installed(budget=budget), warnings_counted() as found:
        for seed in range(5):
            received = passed({"a": payload(seed), "b": "text"})
            assert checksum(received["a"]) == checksum(payload(seed))
            assert received["a"].flags.writeable
            assert received["b"] == "text"
        assert files_in_ram() == []
    assert [w.category for w in found] == [RuntimeWarning]
    for advice in ("slower", "drop received arrays", "budget", "remount,size="):
        assert advice in str(found[0].message)


def test_arrays_that_are_held_use_up_the_budget_until_they_go() -> None:
    with sh.installed(budget=3 * MIB), warnings_counted() as found:
        held = [passed(payload(seed, MIB)) for seed in range(5)]
        sums = [checksum(payload(seed, MIB)) for seed in range(5)]
        assert [checksum(x) for x in held] == sums
        places = [pressure.is_in_shared_memory(x) for x in held]
        assert places == [True, True, True, False, False]
        assert len(found) == 1
        assert "arrays in use take" in str(found[0].message)
        del held
        assert pressure.is_in_shared_memory(passed(payload(9, MIB)))
    assert len(found) == 1


def test_threads_that_all_find_the_budget_used_up_warn_once() -> None:
    barrier = threading.Barrier(8)

    def send() -> None:
        barrier.wait()
        passed(payload(1))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with sh.installed(budget=0), warnings_counted() as found:
        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sys.setswitchinterval(interval)
    assert len(found) == 1


WARNINGS_ARE_ERRORS = """
import multiprocessing, warnings
warnings.simplefilter("error")
import numpy as np, sharray as sh
from passing_pressure import checksum, payload

sh.install(budget=0)
queue = multiprocessing.Queue()
for seed in range(3):
    queue.put(payload(seed))
assert [checksum(queue.get(timeout=500)) for _ in range(3)] == [
    checksum(payload(seed)) for seed in range(3)
]
queue.close()
queue.join_thread()
"""


def test_where_warnings_are_errors_it_is_printed_and_no_message_is_lost() -> None:
    done = start_program(WARNINGS_ARE_ERRORS)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("sharray: no shared memory for a message")
    assert done.stderr.count("sharray:") == 1
    assert "Traceback" not in done.stderr


def test_the_warning_comes_from_a_queues_thread_too() -> None:
    code = WARNINGS_ARE_ERRORS.replace('"error"', '"always"')
    done = start_program(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("RuntimeWarning: sharray: no shared memory") == 1
