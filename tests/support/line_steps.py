"""Threads of one process for `interleaving`, whose steps are the lines of some modules.

A race between threads needs no shared memory: one line looks at an object, and before
the next one another thread has closed it.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any

import pytest
from interleaving import Actor, lock_shared, step

from sharray.system import clock, locks


def thread_of(function: Callable[[], None], modules: Iterable[ModuleType]) -> Actor:
    """Return an actor with a step before each line of some modules."""
    files = {module.__file__ for module in modules}

    def trace_line(_: FrameType, event: str, __: Any) -> Any:
        if event == "line":
            step()
        return trace_line

    def trace_call(frame: FrameType, *_: Any) -> Any:
        return trace_line if frame.f_code.co_filename in files else None

    def run() -> None:
        sys.settrace(trace_call)
        try:
            function()
        finally:
            sys.settrace(None)

    return Actor(run)


class StepLock:
    """A reentrant lock of threads, which is a step to acquire."""

    def __init__(self) -> None:
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        step(lambda: self._owner in (None, me))
        self._owner = me
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None


@contextmanager
def nothing_but_the_order(thread_locks: dict[ModuleType, str]) -> Iterator[None]:
    """Let threads depend on the order of steps alone.

    Parameters
    ----------
    thread_locks : dict
        Modules with locks that the threads may wait for, and the names of these locks.
    """
    now = clock.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        for module, name in thread_locks.items():
            patch.setattr(module, name, StepLock())
        patch.setattr(clock, "monotonic", lambda: now)
        patch.setattr(locks, "lock_shared", lock_shared)
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
