"""`deferred` and `allowed`, interrupted at each point."""

from __future__ import annotations

import dis
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from interrupting import Interrupted, count_points, interrupt_everywhere

from sharray.system import interrupts
from sharray.system.thread_locks import Lock


def arrive() -> None:
    """Raise SIGINT now."""
    signal.raise_signal(signal.SIGINT)


def handlers_are_restored(_: Interrupted | None = None) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interrupts.deferred():
        assert not interrupts.is_waiting()
        arrived = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert arrived
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_waits_for_the_end_of_the_block() -> None:
    def call() -> None:
        with interrupts.deferred():
            arrive()
            done.append(interrupts.is_waiting())

    done: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        call()
    assert done == [True]
    handlers_are_restored()


def test_blocks_within_blocks_wait_for_the_outermost() -> None:
    def call() -> None:
        with interrupts.deferred():
            with interrupts.deferred():
                arrive()
            done.append("inner")
        done.append("outer")

    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        call()
    assert done == ["inner"]
    handlers_are_restored()


def test_allowed_delivers_what_waits_and_what_comes() -> None:
    done = []
    with interrupts.deferred():
        arrive()
        with pytest.raises(KeyboardInterrupt), interrupts.allowed():
            done.append("not reached")
        with pytest.raises(KeyboardInterrupt), interrupts.allowed():
            arrive()
        assert not interrupts.is_waiting()
        arrive()
        assert interrupts.is_waiting()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert done == []
    handlers_are_restored()


def test_an_error_of_the_block_is_the_context_of_the_interrupt() -> None:
    def call() -> None:
        with interrupts.deferred():
            arrive()
            raise ValueError("first")

    with pytest.raises(KeyboardInterrupt) as caught:
        call()
    assert isinstance(caught.value.__context__, ValueError)


def test_the_handler_that_the_block_sets_stays() -> None:
    def handler(*_: Any) -> None:
        seen.append("mine")

    seen: list[str] = []
    try:
        with interrupts.deferred():
            signal.signal(signal.SIGINT, handler)
        arrive()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert seen == ["mine"]
    handlers_are_restored()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGALRM"])
def test_other_signals_wait_too(name: str) -> None:
    number = signal.Signals[name]
    seen: list[int] = []
    before = signal.signal(number, lambda number, _: seen.append(number))
    try:
        with interrupts.deferred():
            signal.raise_signal(number)
            assert seen == []
        assert seen == [number]
    finally:
        signal.signal(number, before)


def test_other_threads_change_no_handlers() -> None:
    found: list[Any] = []

    def look() -> None:
        with interrupts.deferred(), interrupts.allowed():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_a_child_forked_in_a_block_can_be_interrupted() -> None:
    with interrupts.deferred():
        child = os.fork()
        if child == 0:
            is_restored = signal.getsignal(signal.SIGINT) is signal.default_int_handler
            os._exit(0 if is_restored else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_block_restores_the_handlers_wherever_it_is_interrupted() -> None:
    def call() -> None:
        with interrupts.deferred(), interrupts.allowed(), interrupts.deferred():
            pass
        with interrupts.deferred():
            steps.extend(["first"])
            steps.extend(["second"])

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        assert len(steps) in (0, 2)
        steps.clear()
        handlers_are_restored()

    steps: list[str] = []
    handlers_are_restored()
    visited = interrupt_everywhere(call, check)
    steps.clear()
    assert visited == count_points(call) > 20


@contextmanager
def handled_by(handler: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have another handler of SIGINT, which `interrupt_everywhere` expects."""
    before = signal.signal(signal.SIGINT, handler)
    monkeypatch.setattr(signal, "default_int_handler", handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_signal_calls_the_handler_once_wherever_it_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handler(number: int, _: Any) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    def call() -> None:
        with interrupts.deferred():
            with interrupts.allowed():
                steps.extend(["allowed"])
            steps.extend(["deferred"])
            interrupts.check()
        os.getpid()  # where a signal of the last call arrives

    def check(outcome: Interrupted) -> None:
        os.getpid()  # where a second one would arrive
        assert outcome.raised
        assert seen == [signal.SIGINT]
        seen.clear()

    seen: list[int] = []
    steps: list[str] = []
    with handled_by(handler, monkeypatch):
        assert interrupt_everywhere(call, check) > 20


def test_a_handler_may_defer_signals_itself_wherever_it_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handler(number: int, _: Any) -> None:
        seen.append(number)
        with interrupts.deferred(), interrupts.allowed():
            os.getpid()

    def call() -> None:
        with interrupts.deferred():
            with interrupts.allowed():
                os.getpid()
            interrupts.check()
        os.getpid()  # where a signal of the last call arrives

    def check(outcome: Interrupted) -> None:
        os.getpid()
        assert seen == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is handler
        with interrupts.deferred():
            arrive()
            assert interrupts.is_waiting()
        os.getpid()
        assert seen == [signal.SIGINT] * 2
        seen.clear()

    seen: list[int] = []
    with handled_by(handler, monkeypatch):
        assert interrupt_everywhere(call, check) > 20


def test_a_handler_that_the_program_has_lost_stops_nobody() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts.deferred():
        ours = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, ours)  # such as by a finalizer that puts back what was
    try:
        with interrupts.deferred():
            arrive()
    finally:
        signal.signal(signal.SIGINT, before)
    handlers_are_restored()


def test_a_point_after_each_call_is_found() -> None:
    # What this whole test rests on: a lock that was taken before a `try`.
    lock = threading.Lock()
    code = compile(
        "def call():\n    lock.acquire()\n    try:\n        pass\n"
        "    finally:\n        lock.release()\n",
        interrupts.__file__,
        "exec",
    )
    names: dict[str, Any] = {"lock": lock}
    exec(code, names)
    found = []

    def check(outcome: Interrupted) -> None:
        found.append((outcome.raised, lock.locked()))
        if lock.locked():
            lock.release()

    interrupt_everywhere(names["call"], check)
    assert (True, True) in found
    assert (True, False) in found


def test_a_point_at_the_start_of_each_function_is_found() -> None:
    # C code calls it twice: no instruction of ours comes before the second time.
    code = compile(
        "def count(_):\n    global counted\n    counted += 1\n"
        "def call():\n    list(map(count, 'ab'))\n",
        interrupts.__file__,
        "exec",
    )
    names: dict[str, Any] = {"counted": 0}
    exec(code, names)
    found = []

    def check(outcome: Interrupted) -> None:
        found.append((outcome.raised, names["counted"]))
        names["counted"] = 0

    interrupt_everywhere(names["call"], check)
    assert set(found) == {(True, 0), (True, 1)}


def test_an_error_without_an_interrupt_is_raised() -> None:
    def call() -> None:
        with interrupts.deferred():
            pass
        raise TimeoutError

    with pytest.raises(TimeoutError):
        interrupt_everywhere(call, handlers_are_restored)


def is_free(lock: Lock) -> bool:
    """Whether another thread can acquire it."""

    def acquire() -> None:
        if lock.acquire(blocking=False):
            lock.release()
            found.append(True)

    found: list[bool] = []
    thread = threading.Thread(target=acquire)
    thread.start()
    thread.join()
    return found == [True]


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_lock_is_free_wherever_its_block_is_interrupted(reentrant: bool) -> None:
    code = compile(
        "def call():\n    with lock:\n        found.append(is_free(lock))\n",
        interrupts.__file__,
        "exec",
    )
    lock, found = Lock(reentrant=reentrant), []
    names: dict[str, Any] = {"lock": lock, "found": found, "is_free": is_free}
    exec(code, names)

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        assert is_free(lock)

    interrupt_everywhere(names["call"], check)
    names["call"]()
    assert found
    assert set(found) == {False}
    if reentrant:
        with lock:
            names["call"]()


# Their loops stand in blocks that undo nothing, or while signals are deferred.
UNCOVERED = {
    "Crew.replace_the_dead",
    "Run._give_up",
    "_close_all",
    "_dirty_at",
    "_end",
    "drop_orphans",
    "locate",
    "open_message",
    "prepare_for_change",
}


def _functions_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _functions_in(constant)


def _jumps_out_of_blocks(code: CodeType) -> bool:
    """Return whether a loop in a block jumps back outside of the block's cover."""
    ranges = [
        (int(start), int(end), int(target))
        for start, end, target, *_ in dis._parse_exception_table(code)
    ]
    names = {one.offset: one.opname for one in dis.get_instructions(code)}

    def is_covered(offset: int) -> bool:
        for start, end, target in ranges:
            if start <= offset < end:
                # Comprehensions have handlers of their own, which begin otherwise.
                return names[target] == "PUSH_EXC_INFO" or is_covered(target)
        return False

    return any(
        not is_covered(one.offset) and is_covered(one.argval)
        for before, one in itertools.pairwise(dis.get_instructions(code))
        # After CLEANUP_THROW, CPython 3.12 jumps back to the end of a `yield from`, if
        # the inner generator returns although an exception was thrown into it.
        if one.opname == "JUMP_BACKWARD" and before.opname != "CLEANUP_THROW"
    )


def test_blocks_that_undo_something_cover_their_loops() -> None:
    package = Path(interrupts.__file__).parents[1]
    found = {
        function.co_qualname
        for path in package.rglob("*.py")
        for function in _functions_in(compile(path.read_text(), str(path), "exec"))
        if _jumps_out_of_blocks(function)
    }
    assert found - UNCOVERED == set()
