"""Messages, interrupted at each point: all is usable, and nothing is left.

An interrupted send has sent all of the message or nothing. The file of a message that
was not sent is free again. An interrupted receive may lose the message, as those of
multiprocessing do, but not its file.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import multiprocessing.queues
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import passing_ends as ends
import pytest
from belongings import belongings
from interrupting import Interrupted, interrupt_everywhere, some_of
from passing_ends import LARGE, SMALL, close, numbered
from repository import SUPPORT

import sharray as sh
from sharray.passing.wire import forwarding, sending
from sharray.storage.messages import inbox, incoming, outbox
from sharray.system import finalizing

FORK = multiprocessing.get_context("fork")
SIZES = {"copied": SMALL, "kept": LARGE}
# Python 3.12 and later warn of forks in a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with sh.installed(threshold=0):
        yield


@pytest.fixture(params=SIZES)
def n(request: pytest.FixtureRequest) -> int:
    return SIZES[request.param]


@pytest.fixture(params=[False, True], ids=["pipe", "socket"])
def pipe(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    reader, writer = FORK.Pipe(request.param)
    yield reader, writer
    close(reader, writer)


def files_in_use() -> int:
    return sum(not outgoing.is_free() for outgoing in outbox._outgoing)


def cheap_belongings() -> tuple[int, int]:
    """Return descriptors and files; `belongings` would take too long."""
    return len(os.listdir("/proc/self/fd")), len(ends.blocks_in_ram())


def forget_all() -> None:
    """Forget all files, so that the next message makes its own."""
    outbox.trim()
    inbox.drop_orphans()
    assert not incoming.freeing
    assert not incoming.held
    assert not incoming.kept


class Unchanged:
    """Check that nothing is left after each point, and at the end."""

    def __init__(self) -> None:
        forget_all()
        self._cheap = cheap_belongings()
        self._all = belongings()

    def check(self) -> None:
        assert files_in_use() == 0
        forget_all()
        assert cheap_belongings() == self._cheap

    def check_all(self) -> None:
        forget_all()
        assert belongings() == self._all


def is_there(reader: Any) -> bool:
    return bool(select.select([reader], [], [], 0)[0])


def is_received(reader: Any, sent: Any) -> bool:
    """Check an arrival without `assert`: pytest would keep the array and its file."""
    return np.array_equal(reader.recv(), sent)


def is_got(queue: Any, sent: Any) -> bool:
    return np.array_equal(queue.get(), sent)


# -- sending --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_first", "step"),
    [
        pytest.param(True, 37, id="first"),
        pytest.param(True, 1, id="first, all points", marks=pytest.mark.torture),
        pytest.param(False, 1, id="next"),
    ],
)
def test_a_send_is_whole_or_has_not_happened(
    is_first: bool, step: int, pipe: tuple[Any, Any]
) -> None:
    def call() -> None:
        vars(writer).pop("_sharray_reach", None)
        writer.send(sent)

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        if is_there(reader):
            arrived.append(outcome.where)
            assert is_received(reader, sent)
        assert files_in_use() == 0
        if is_first:
            unchanged.check()

    reader, writer = pipe
    sent = numbered(1)
    arrived: list[str] = []
    unchanged = Unchanged()
    if not is_first:
        exchange(reader, writer, 2)  # makes the file
    visited = interrupt_everywhere(call, check, step=step)
    assert 0 < len(arrived) < visited
    assert is_received(reader, sent)  # of the run that had fewer points
    unchanged.check_all()


def test_a_message_for_which_there_is_no_memory(pipe: tuple[Any, Any]) -> None:
    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        if is_there(reader):
            assert is_received(reader, sent)
        unchanged.check()

    reader, writer = pipe
    sent = numbered(1, 100)
    with sh.installed(threshold=0, budget=0):
        with pytest.warns(RuntimeWarning):
            writer.send(sent)
        reader.recv()
        unchanged = Unchanged()
        interrupt_everywhere(lambda: writer.send(sent), check)
    assert is_received(reader, sent)
    unchanged.check_all()


@pytest.mark.parametrize("package", ["multiprocessing", "multiprocess", "loky"])
def test_a_queue_whose_put_was_interrupted(package: str, n: int) -> None:
    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        while is_there(queue._reader):
            assert is_got(queue, sent)
        assert files_in_use() == 0

    queue = simple_queue(package)
    with sh.installed(threshold=0):
        sent = numbered(1, n)
        unchanged = Unchanged()
        interrupt_everywhere(lambda: queue.put(sent), check)
        assert is_got(queue, sent)
        unchanged.check_all()
    close(queue)


def simple_queue(package: str) -> Any:
    if package == "loky":
        loky = pytest.importorskip("loky.backend.queues")
        queue = loky.SimpleQueue.__new__(loky.SimpleQueue)
        # Without its own locks, which leave semaphores.
        queue._reader, queue._writer = FORK.Pipe(False)
        queue._rlock, queue._wlock = FORK.Lock(), FORK.Lock()
        queue._reducers, queue._poll = None, queue._reader.poll
        return queue
    return pytest.importorskip(package).get_context("fork").SimpleQueue()


def test_bytes_that_a_queue_has_pickled_and_nobody_has_sent() -> None:
    # Between the two, in a frame of multiprocessing.
    class Closed:
        def send_bytes(self, _: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    queue = FORK.SimpleQueue()
    writer, queue._writer = queue._writer, Closed()
    for number in range(3):
        with pytest.raises(KeyboardInterrupt):
            queue.put(numbered(number))
        assert files_in_use() == 0
    queue._writer = writer
    queue.put(numbered(3))
    assert is_got(queue, numbered(3))
    close(queue)


def test_a_wait_for_a_full_pipe_ends_at_once(pipe: tuple[Any, Any]) -> None:
    reader, writer = pipe
    rest = fill(writer)
    unchanged = Unchanged()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(3):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                writer.send(numbered(1))
            unchanged.check()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    while rest:
        rest -= len(os.read(reader.fileno(), rest))
    writer.send(numbered(2))
    assert is_received(reader, numbered(2))
    unchanged.check_all()


def fill(writer: Any) -> int:
    """Fill a pipe; return the number of bytes."""
    os.set_blocking(writer.fileno(), False)
    written = 0
    try:
        for size in (4096, 1):
            try:
                while True:
                    written += os.write(writer.fileno(), bytes(size))
            except BlockingIOError:
                pass
    finally:
        os.set_blocking(writer.fileno(), True)
    return written


def test_copying_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []

    def copy_and_be_interrupted(*_: Any) -> None:
        copied.append(1)
        signal.raise_signal(signal.SIGINT)

    reader, writer = FORK.Pipe(False)
    exchange(reader, writer, 1, 10 * LARGE)  # a file that the next message uses again
    monkeypatch.setattr(np, "copyto", copy_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.send([numbered(number) for number in range(10)])
    assert copied == [1]
    assert files_in_use() == 0
    close(reader, writer)


def test_bytes_that_are_sent_on() -> None:
    def call() -> None:
        forwarding._sent_on = None
        ours.send_bytes(received)

    def check(outcome: Interrupted) -> None:
        nonlocal received
        assert outcome.raised
        last = forwarding._sent_on
        ours.send_bytes(received)  # the same call works
        assert forwarding._sent_on is last or last is None
        while is_there(theirs):
            assert is_received(theirs, sent)
        writer.send(sent)
        received = reader.recv_bytes()

    (reader, writer), (theirs, ours) = FORK.Pipe(False), FORK.Pipe(False)
    sent = numbered(1, 2000)
    writer.send(sent)
    received = reader.recv_bytes()
    interrupt_everywhere(call, check)
    assert is_received(theirs, sent)
    forwarding._sent_on = None
    close(reader, writer, theirs, ours)
    forget_all()


def test_a_look_at_a_socket_leaves_it_open() -> None:
    def call() -> None:
        vars(writer).pop("_sharray_reach", None)
        writer.send(1)

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        os.fstat(writer.fileno())
        while is_there(reader):
            assert reader.recv() == 1

    reader, writer = FORK.Pipe(True)
    interrupt_everywhere(call, check)
    assert reader.recv() == 1
    close(reader, writer)


# -- receiving ------------------------------------------------------------------

# Here the message is not opened yet, and multiprocessing drops its bytes.
_BEFORE = (
    "open_message",
    "deferred.__enter__",
    "_is_main_thread",
    "_take_over",
    "_replace_all",
)


@pytest.mark.parametrize(
    ("is_first", "step"),
    [
        pytest.param(True, 11, id="first"),
        pytest.param(True, 1, id="first, all points", marks=pytest.mark.torture),
        pytest.param(False, 1, id="next"),
    ],
)
def test_a_receive_leaves_no_file_in_use(is_first: bool, step: int, n: int) -> None:
    def receive() -> None:
        assert is_received(channels[0], sent)

    def check(outcome: Interrupted) -> None:
        finalizing.act_for_the_dead()
        if files_in_use():
            assert outcome.raised
            assert outcome.where.endswith(_BEFORE)
        close(*channels)
        outbox._recall_all_lost()
        assert files_in_use() == 0
        prepare()

    def prepare() -> None:
        """Write a message before the interrupted call."""
        if is_first:
            outbox.trim()
            inbox.drop_orphans()
        channels[:] = FORK.Pipe(False)
        channels[1].send(sent)

    sent = numbered(1, n)
    channels: list[Any] = []
    unchanged = Unchanged()
    prepare()
    interrupt_everywhere(receive, check, step=step)
    close(*channels)
    channels.clear()
    unchanged.check_all()


def test_a_receive_that_was_not_begun_can_be_made_again(n: int) -> None:
    def is_loaded() -> bool:
        return np.array_equal(pickle.loads(message.data), sent)

    def check(outcome: Interrupted) -> None:
        nonlocal message
        finalizing.act_for_the_dead()
        if files_in_use():
            again.append(is_loaded())
        assert files_in_use() == 0
        message = sending.write(sent, options)

    options = sh.passing.options.Options(0)
    sent = numbered(1, n)
    again: list[bool] = []
    message = sending.write(sent, options)
    interrupt_everywhere(is_loaded, check)
    assert again
    assert all(again)
    forget_all()


def test_an_interrupt_while_the_last_array_of_a_message_goes() -> None:
    def call() -> None:
        found.clear()
        os.getpid()  # where an interrupt arrives that came in the finalizer

    def check(outcome: Interrupted) -> None:
        assert outcome.raised or outcome.dropped  # by CPython, as in all finalizers
        found.append(exchange(reader, writer, 1))  # frees the last one, too
        assert files_in_use() == 1

    reader, writer = FORK.Pipe(False)
    unchanged = Unchanged()
    found = [exchange(reader, writer, 1)]
    assert files_in_use() == 1
    assert interrupt_everywhere(call, check) > 5
    found.clear()
    assert files_in_use() == 0
    unchanged.check_all()
    close(reader, writer)


def exchange(reader: Any, writer: Any, number: int, n: int = LARGE) -> Any:
    writer.send(numbered(number, n))
    received = reader.recv()
    if not np.array_equal(received, numbered(number, n)):
        raise AssertionError("wrong values")
    return received


def test_nested_messages_after_an_interrupt() -> None:
    # The parts of the outer message come back, wherever the inner one was interrupted.
    def check(outcome: Interrupted) -> None:
        finalizing.act_for_the_dead()
        writer.send([numbered(1), numbered(2)])
        found = reader.recv()
        assert not any(ends.is_wrong(found, (1, 2)))
        _Inner.data = sending.write(numbered(3), options).data
        message[:] = [sending.write([numbered(0), _Inner()], options).data]

    options = sh.passing.options.Options(0)
    reader, writer = FORK.Pipe(False)
    _Inner.data = sending.write(numbered(3), options).data
    message = [sending.write([numbered(0), _Inner()], options).data]
    interrupt_everywhere(lambda: pickle.loads(message[0]), check, step=5)
    close(reader, writer)
    for outgoing in outbox._outgoing:
        outgoing.recall()  # what was interrupted before it was opened
    forget_all()


class _Inner:
    data = b""

    def __reduce__(self) -> Any:
        return pickle.loads, (self.data,)


# -- forks ----------------------------------------------------------------------


def interrupt_forks(step: int, first: int) -> None:
    """Fork with an array that was received, and look who has which copy."""

    def fork() -> None:
        child = os.fork()
        if child == 0:
            sys.settrace(None)
            try:
                received[0][:] = 7
                writer.send(numbered(2))
                os._exit(0 if is_received(reader, numbered(2)) else 1)
            finally:
                os._exit(2)
        children.append(child)

    def check(outcome: Interrupted) -> None:
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        children.clear()
        assert np.array_equal(received[0], numbered(1))
        assert in_another_thread(lambda: exchange(reader, writer, 3))
        received[:] = [exchange(reader, writer, 1)]

    reader, writer = FORK.Pipe(False)
    children: list[int] = []
    received = [exchange(reader, writer, 1)]
    interrupt_everywhere(fork, check, step=step, first=first)
    received.clear()
    close(reader, writer)


def test_a_fork_that_is_interrupted_copies_received_arrays() -> None:
    interrupt_forks(step=13, first=1)


@pytest.mark.torture
def test_a_fork_that_is_interrupted_at_more_points() -> None:
    for first in some_of(range(1, 9)):
        interrupt_forks(step=8, first=first)


def in_another_thread(act: Callable[[], Any]) -> bool:
    """Run a function in another thread; return whether it finds all locks free."""
    done = threading.Event()

    def run() -> None:
        act()
        done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return done.wait(20)


# -- install --------------------------------------------------------------------

_Connection = multiprocessing.connection.Connection
_HOOKED = [
    (_Connection, "send"),
    (_Connection, "send_bytes"),
    (multiprocessing.queues, "_ForkingPickler"),
    (multiprocessing.queues.SimpleQueue, "put"),
    (multiprocessing.reduction, "dump"),
    (multiprocessing.process.BaseProcess, "join"),
    (os, "setuid"),
]


def hooked() -> list[Any]:
    return [getattr(owner, name) for owner, name in _HOOKED]


@pytest.mark.parametrize("is_installed_before", [False, True])
def test_install_and_uninstall(is_installed_before: bool) -> None:
    def call() -> None:
        if is_installed_before:
            sh.uninstall()
        else:
            sh.install(threshold=1)

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        call()
        assert hooked() == (plain if is_installed_before else patched)
        reader, writer = FORK.Pipe(False)
        exchange(reader, writer, 1, 100)
        close(reader, writer)
        reset()
        forget_all()
        assert hooked() == (patched if is_installed_before else plain)

    def reset() -> None:
        if is_installed_before:
            sh.install(threshold=0)
        else:
            sh.uninstall()

    patched = hooked()
    sh.uninstall()
    plain = hooked()
    assert all(a is not b for a, b in zip(plain, patched, strict=True))
    reset()
    interrupt_everywhere(call, check)
    sh.install(threshold=0)


def test_a_block_restores_what_was_before() -> None:
    def call() -> None:
        try:
            with sh.installed(threshold=5):
                entered[:] = [True]
        except KeyboardInterrupt as error:
            kept.append(error)
            raise

    def check(outcome: Interrupted) -> None:
        assert outcome.raised or outcome.dropped  # in __del__, at the end
        if entered:
            kept.clear()  # an __exit__ that could not even begin is made up for then
        assert hooked() == plain
        assert sh.passing.options.State.options is None
        kept.clear()
        entered.clear()

    kept: list[BaseException] = []
    entered: list[bool] = []
    sh.uninstall()
    plain = hooked()
    interrupt_everywhere(call, check)
    call()
    assert hooked() == plain


# -- at random moments ----------------------------------------------------------


@pytest.mark.parametrize(
    "interrupts", [20, pytest.param(300, marks=pytest.mark.torture)]
)
def test_a_loop_with_interrupts_at_any_moment(interrupts: int, tmp_ram: str) -> None:
    script = str(SUPPORT / "interrupted_loop.py")
    done = subprocess.run(
        [sys.executable, script, str(interrupts)],
        capture_output=True,
        text=True,
        env={**os.environ, "SHARRAY_RAM_DIR": tmp_ram},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert [name for _, _, names in os.walk(tmp_ram) for name in names] == []
