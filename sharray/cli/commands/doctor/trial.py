"""An array, made, sent to a new process, written there, seen here, and removed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

import sharray as sh

from ....system import limits
from .probes import trial_path

Array = sh.SharedArray[Any, Any]

_LENGTH = 1000
_PATIENCE = 60.0
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Trial(NamedTuple):
    """How it went.

    `fault` is None if all went well; `can_see` says whether the mappings of the other
    process could be read, None if it did not come so far.
    """

    fault: str | None
    seconds: float
    can_see: bool | None


def try_in_ram() -> Trial:
    """Try it with an anonymous array in RAM."""
    return _try(lambda: sh.zeros(_LENGTH), None)


def try_in_directory(directory: str) -> Trial:
    """Try it with a file, flush it, and read it as any other program would."""
    path = trial_path(directory)
    try:
        return _try(lambda: sh.create(path, _LENGTH), path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _try(make: Callable[[], Array], path: str | None) -> Trial:
    began = time.perf_counter()
    can_see = None
    try:
        array = make()
        array[:] = np.arange(_LENGTH)
        fault, can_see = _have_another_add_one(array)
        expected = np.arange(_LENGTH) + 1.0
        if fault is None and not np.array_equal(array, expected):
            fault = "what another process wrote to the array is not seen here"
        array.flush()
        if fault is None and path is not None:
            fault = _differs(path, expected)
    except (OSError, ValueError) as error:  # most of sharray's own are one, too
        fault = " ".join(str(error).split())
    return Trial(fault, time.perf_counter() - began, can_see)


def _differs(path: str, expected: Any) -> str | None:
    if np.array_equal(np.load(path), expected):
        return None
    return "the file does not hold what is in memory, after a flush"


def _add_one(array: Array, pipe: Connection) -> None:
    """What the other process does; then it waits to be looked at."""
    array += 1
    pipe.send("done")
    with suppress(EOFError):
        pipe.recv()


def _have_another_add_one(
    array: Array,
) -> tuple[str | None, bool | None]:
    """Why it did not, and whether this process can see what the other has mapped."""
    context = multiprocessing.get_context("spawn")
    resource_tracker.ensure_running()  # up to Python 3.12, that unblocks signals
    ours, theirs = context.Pipe()
    process = context.Process(target=_add_one, args=(array, theirs), daemon=True)
    with ours:
        try:
            # It inherits that these wait, so that Ctrl-C is ours alone to handle.
            with theirs, _signals_wait():
                process.start()
            return _await_answer(process, ours)
        finally:
            if process.pid is not None:
                process.kill()
                process.join()
                process.close()


def _await_answer(
    process: multiprocessing.process.BaseProcess, pipe: Connection
) -> tuple[str | None, bool | None]:
    try:
        if not pipe.poll(_PATIENCE):
            return f"a new process did not answer for {_PATIENCE:g} s", None
        pipe.recv()
    except EOFError:
        process.join()
        return f"a new process ended with exit code {process.exitcode}", None
    return None, limits.can_read_mappings(process.pid or 0)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Take signals at the end only: a process must not start unnoticed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ends_tidily() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end this process by way of all that tidies up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {
        number: signal.signal(number, leave)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
