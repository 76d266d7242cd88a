"""Messages from many threads, from garbage collection and from signal handlers."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import passing_pressure as pressure
import pytest
from passing_pressure import HELD, checksum, passed, payload, sent, start_program

import sharray as sh
from sharray.storage.messages import inbox, incoming, outbox, outgoing, taking

# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
SPAWN = multiprocessing.get_context("spawn")
THREADS = 8


@pytest.fixture(autouse=True)
def _installed_and_switching_often() -> Iterator[None]:
    pressure.forget_outbox()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with sh.installed():
        yield
    sys.setswitchinterval(interval)
    pressure.forget_outbox()


def in_threads(work: Callable[[int], None], count: int = THREADS) -> None:
    """Run `work` in many threads at once; raise the error of any."""
    barrier = threading.Barrier(count)

    def begin(number: int) -> None:
        barrier.wait()
        work(number)

    with ThreadPoolExecutor(count) as pool:
        for _ in pool.map(begin, range(count)):
            pass


def size_of(seed: int) -> int:
    """Return a size: some messages are copied, others held, and none is pickled."""
    return 70_000 + seed * 7919 % HELD


# -- threads ---------------------------------------------------------------------


def test_threads_send_and_receive_each_by_its_own_pipe() -> None:
    pipes = [SPAWN.Pipe() for _ in range(THREADS)]
    theirs = [there for _, there in pipes]
    process = SPAWN.Process(target=pressure.answer_in_threads, args=(theirs,))
    process.start()
    for there in theirs:
        there.close()

    def work(number: int) -> None:
        pipe = pipes[number][0]
        held = []
        for step in range(25):
            seed = number * 1000 + step
            pipe.send(payload(seed, size_of(seed)))
            held.append((seed, pipe.recv()))
            for old, x in held[-3:]:
                np.testing.assert_array_equal(x, payload(old, size_of(old)) * 2)
        pipe.send(None)

    in_threads(work)
    process.join()
    for here, _ in pipes:
        here.close()
    assert process.exitcode == 0


def test_threads_of_one_process_share_the_outbox_and_the_inbox() -> None:
    def work(number: int) -> None:
        held = []
        for step in range(60):
            seed = number * 1000 + step
            held.append((seed, passed(payload(seed, size_of(seed)))))
            held = held[-3:]
            for old, x in held:
                assert checksum(x) == checksum(payload(old, size_of(old)))

    in_threads(work)


def test_what_one_thread_sends_another_receives_and_a_third_drops() -> None:
    messages: list[tuple[int, bytes]] = []
    received: list[tuple[int, Any]] = []
    failed = threading.Event()
    sends = 200

    def work(number: int) -> None:
        try:
            do(number)
        except BaseException:
            failed.set()  # the others would wait for this one for ever
            raise

    def do(number: int) -> None:
        done = 0
        while done < sends and not failed.is_set():
            if number % 3 == 0:
                messages.append((done, sent(payload(done, size_of(done)))))
            elif number % 3 == 1:
                if not messages:
                    continue
                seed, message = messages.pop()
                received.append((seed, pickle.loads(message)))
            else:
                if not received:
                    continue
                seed, x = received.pop()
                assert checksum(x) == checksum(payload(seed, size_of(seed)))
            done += 1

    # More messages wait than files are allowed; then they are pickled.
    with sh.installed(budget=1 << 40), pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        in_threads(work, 6)


def closing_first(do: Callable[[Any], Any], drop: Callable[[], None]) -> Any:
    """Return a function before which another thread drops arrays, and files close."""

    def changed(self: incoming.Incoming) -> Any:
        drop()
        inbox._close_kept()
        return do(self)

    return changed


def test_a_file_that_has_come_back_may_be_closed_while_others_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = [passed(payload(seed)) for seed in range(3)]
    # The first one that is asked is the last one that anybody holds.
    changed = closing_first(incoming.Incoming.has_come_back, held.clear)
    monkeypatch.setattr(incoming.Incoming, "has_come_back", changed)
    x = passed(payload(4))
    assert not held
    assert checksum(x) == checksum(payload(4))


def test_a_file_that_was_relayed_may_be_closed_while_others_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = [passed(payload(seed)) for seed in range(3)]
    held.clear()
    assert len(incoming.kept) == 3
    changed = closing_first(incoming.Incoming.is_out, held.clear)
    monkeypatch.setattr(incoming.Incoming, "is_out", changed)
    assert inbox.count_out() == 0
    assert len(incoming.kept) == 1  # the one that was looked at


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_threads_apply_through_one_pool(method: str) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:

        def work(number: int) -> None:
            for step in range(10):
                seed = number * 100 + step
                x = payload(seed, size_of(seed))
                assert pool.apply(checksum, (x,)) == checksum(x)
                assert checksum(pool.apply(pressure.echo, (x,))) == checksum(x)

        in_threads(work)
        pool.close()
        pool.join()


def test_threads_submit_to_one_executor() -> None:
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:

        def work(number: int) -> None:
            for step in range(10):
                seed = number * 100 + step
                x = payload(seed, size_of(seed))
                found = pool.submit(pressure.echo, x).result(500)
                assert checksum(found) == checksum(x)

        in_threads(work)


def test_asyncio_gathers_from_an_executor() -> None:
    async def run(pool: ProcessPoolExecutor) -> list[Any]:
        loop = asyncio.get_running_loop()
        calls = [
            loop.run_in_executor(pool, pressure.echo, payload(seed, size_of(seed)))
            for seed in range(40)
        ]
        return await asyncio.wait_for(asyncio.gather(*calls), 60)

    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        found = asyncio.run(run(pool))
    for seed, x in enumerate(found):
        assert checksum(x) == checksum(payload(seed, size_of(seed)))


# -- garbage collection -----------------------------------------------------------


class Farewell:
    """A reference cycle that sends and receives a message when it is collected."""

    said: list[bool]

    def __init__(self, said: list[bool]) -> None:
        self.me = self
        self.said = said

    def __del__(self) -> None:
        self.said.append(checksum(passed(payload(5))) == checksum(payload(5)))


def test_garbage_collection_may_send_and_receive_while_others_do() -> None:
    said: list[bool] = []
    thresholds = gc.get_threshold()
    gc.set_threshold(3, 2, 2)
    try:
        for seed in range(200):
            Farewell(said)
            x = payload(seed, size_of(seed))
            assert checksum(passed(x)) == checksum(x)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert len(said) == 200
    assert all(said)


class Interruption:
    """A function that also sends and receives a message at its first call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._done = False
        self.sums: list[int] = []
        self.messages: list[bytes] = []

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        found = self._function(*arguments, **options)
        if not self._done:
            self._done = True
            self.sums.append(checksum(passed(payload(1))))
            self.messages.append(sent(payload(2)))
        return found


# Where a __del__ or a signal handler may come between any two lines of Python.
CALLS = [
    (outbox, "_close_idle"),
    (outbox, "_best_free"),
    (outbox, "_create"),
    (outbox, "_make_room"),
    (outbox, "_free"),
    (outgoing.Outgoing, "is_free"),
    (outgoing.Outgoing, "claim"),
    (outgoing.Outgoing, "send"),
    (inbox, "_attach"),
    (inbox, "drop_orphans"),
    (incoming.Incoming, "hold"),
    (incoming.Incoming, "is_orphan"),
    (incoming.Incoming, "take_over"),
    (taking.locks, "lock_byte"),
    (taking.locks, "unlock_byte"),
]


@pytest.mark.filterwarnings("ignore:sharray.*interrupted")
@pytest.mark.parametrize(("place", "name"), CALLS)
@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_message_within_another_disturbs_neither(
    place: Any, name: str, kept: int
) -> None:
    held = [passed(payload(seed)) for seed in range(kept)]
    del held
    interruption = Interruption(getattr(place, name))
    with pytest.MonkeyPatch.context() as patch:
        # A function, since methods are to be bound.
        patch.setattr(place, name, lambda *a, **o: interruption(*a, **o))
        # The budget has room for one more, so that some are closed for others.
        for budget in (None, 2 << 20):
            with sh.installed(budget=budget):
                for seed, nbytes in [(3, HELD), (4, 2 * HELD), (5, 100_000)]:
                    x = payload(seed, nbytes)
                    assert checksum(passed(x)) == checksum(x)
    for message in interruption.messages:
        assert checksum(pickle.loads(message)) == checksum(payload(2))
    assert interruption.sums in ([], [checksum(payload(1))])


SIGNALS = """
import os, pickle, signal, sys
import sharray as sh
from passing_pressure import checksum, passed, payload, sent

sys.setswitchinterval(1e-6)
wrong, answered = [], []
small, large = payload(1, 70_000), payload(2)
sums = [checksum(small), checksum(large)]

def handler(number, frame):
    signal.setitimer(signal.ITIMER_REAL, 0)
    answered.append(1)
    if [checksum(passed(small)), checksum(passed(large))] != sums:
        wrong.append(len(answered))

signal.signal(signal.SIGALRM, handler)
sh.install()
arrays = [payload(seed, 70_000 + seed * 7919 % 300_000) for seed in range(50)]
expected = [checksum(x) for x in arrays]
turn = 0
while len(answered) < 300:
    turn += 1
    signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + 13 * turn % 700))
    seed = turn % 50
    assert checksum(passed(arrays[seed])) == expected[seed], seed
signal.setitimer(signal.ITIMER_REAL, 0)
assert not wrong, wrong
sh.gc()
print(sum(len(names) for _, _, names in os.walk(os.environ["SHARRAY_RAM_DIR"])))
"""


def test_signal_handlers_may_send_and_receive_while_others_do(tmp_ram: str) -> None:
    done = start_program(SIGNALS, SHARRAY_RAM_DIR=tmp_ram)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0\n"
