"""Compiling in a thread of its own, so that the stop button ends the wait for it.

A compilation cannot be interrupted: LLVM calls back into Python, where a
KeyboardInterrupt would be dropped. So in IPython, the main thread, to which Python
delivers signals, leaves the work to another thread, and only waits::

    main thread                    compiling thread
    `call` ----------------------> works
      |  Ctrl-C                      |
      v                              |
    KeyboardInterrupt                |
                                     |
    `call` of the same work -------> |   waits for the work that is under way
      |                              v
      v  <------------------------ done
    value, or error

Invariants

- A work is in `_under_way` from before its thread starts until it is done.
- A fork waits for all works. The child would inherit numba's locks as the thread holds
  them, and nobody would release them there.
- A main thread that is importing works itself: numba imports the module of the function
  that it compiles, and would wait for ever for an import that waits for numba.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Hashable
from types import FrameType
from typing import Any, TypeVar

from ..notebook import ipython
from ..system import forks, interrupts
from ..system.thread_locks import Event

_Value = TypeVar("_Value")
_IMPORTING = "<frozen importlib._bootstrap>"  # the file of frames that import
_LONGEST_FORK = 60.0  # seconds that a fork waits


class _Work:
    """Something that a thread does, and how it ended."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = Event()

    def outcome(self) -> Any:
        """Return the value, or raise the error."""
        error, self.error = self.error, None  # its frames refer to this object
        if error is not None:
            raise error
        return self.value


_under_way: dict[Hashable, _Work] = {}


def call(key: Hashable, act: Callable[[], _Value], name: str) -> _Value:
    """Call a function that cannot be interrupted, and return its value.

    In IPython, the main thread can be interrupted while it waits. The next call with
    the same key waits for the same work. Other threads call the function themselves.

    Parameters
    ----------
    key : hashable
        The same for the same work.
    act : callable
        The function.
    name : str
        Name of the kernel that it compiles, for the note of an interrupt.
    """
    is_main = threading.get_ident() == threading.main_thread().ident
    if ipython.shell() is None or not is_main or _is_importing():
        return act()
    work = _under_way.get(key)
    is_older = work is not None
    try:
        if work is None:
            with interrupts.deferred():
                work = _start(key, act)
        work.done.wait()
    except KeyboardInterrupt as error:
        error.add_note(
            f"the compilation of kernel {name!r} goes on in the background; the next "
            "run uses it"
        )
        raise
    if is_older and work.error is not None:
        # This thread went on meanwhile. It may have changed what numba was reading:
        # IPython changes the built-in names with each cell.
        return call(key, act, name)
    value: _Value = work.outcome()
    return value


def _is_importing() -> bool:
    """Return whether the calling thread is in the middle of an import."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False


def _start(key: Hashable, act: Callable[[], Any]) -> _Work:
    work = _under_way[key] = _Work()
    context = contextvars.copy_context()  # such as numpy.errstate

    def do() -> None:
        try:
            work.value = context.run(act)
        except BaseException as error:
            work.error = error
        # First: once it is done, the next call must not find it.
        _under_way.pop(key, None)
        work.done.set()

    try:
        threading.Thread(target=do, name="sharray-compiler").start()
    except BaseException:  # there can be no more threads
        del _under_way[key]
        raise
    return work


def _wait_before_fork() -> None:
    for work in list(_under_way.values()):
        work.done.wait(_LONGEST_FORK)


forks.at_fork(before=_wait_before_fork, after_in_child=_under_way.clear)
