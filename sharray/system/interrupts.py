"""Interrupts: keep Ctrl-C out of steps that belong together.

CPython runs signal handlers in the main thread: when a Python function starts, when a
loop jumps back, and when a call of C code returns. So KeyboardInterrupt can be raised
between ``fd = os.open(...)`` and the ``try`` that would close it, and at the first
instruction of a function that a ``finally`` calls. Three patterns are safe, and every
state of this package that has to be undone uses one of them:

- ``with lock:`` for a `sharray.system.thread_locks.Lock`: nothing is checked between
  its `acquire` and the start of the block.
- A store to an attribute just before ``try``, undone by a store: nothing is checked
  between two stores. The next call sees the state that an interrupted call left.
- `deferred` for everything else: system calls that return a descriptor, locks of
  files, words in shared memory, conversations with a worker.

A ``with`` or ``try`` block that undoes something has no ``while``, no loop whose body
begins with an ``if``, and no comprehension with one, unless signals are deferred. Since
CPython 3.12, the block does not cover the jump back of such loops. An interrupt there
leaves the block without undoing. Put the loop into a function that the block calls:
calls are covered.

::

              deferred begins            allowed begins, after
                                         noted signals are delivered
    program's   -------------->   noted  ------------------------->   program's
    handler     <--------------          <-------------------------   handler
              deferred ends, then            allowed ends
              noted signals are delivered

Invariants: only the main thread changes handlers, and no handler gives back what is
just being given back. The outermost `deferred` restores the handlers that it found. A
handler that the program sets meanwhile stays. A forked child restores the handlers at
once; otherwise it would never react to Ctrl-C.

A signal can come too late to end a system call: after CPython has looked for signals,
and before the call sleeps. CPython then notes it, and looks again when the call
returns. So a call of the main thread that may sleep for ever sleeps in `slices`.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any

from . import clock

try:
    # The module `signal` converts to and from enum members, and takes five times as
    # long.
    import _signal as _handlers  # type: ignore[import-not-found]
except ImportError:
    _handlers = signal

SLICE = 0.05  # seconds that a signal may be late

# Signals for which programs have handlers that raise: Ctrl-C, kill, time limits.
_SIGNALS = tuple(
    int(getattr(signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGALRM")
    if hasattr(signal, name)
)

# The numbers of signals that arrived meanwhile. C code notes them: another signal could
# interrupt a handler written in Python.
_noted: dict[int, Any] = {}
_note = _noted.__setitem__
_before: dict[int, Callable[[int, Any], Any]] = {}
# While handlers are replaced or restored, one may run that is not replaced yet, or is
# restored already. An `allowed` within it changes none. Else it would leave handlers
# that are replaced, and `_before` would know nothing of them: no Ctrl-C would arrive.
_is_changing = False
_main_thread = threading.main_thread().ident


class deferred:  # noqa: N801 - a context manager, like contextlib.suppress
    """Defer signals until the block ends.

    In other threads than the main one, and within another such block, this is a
    no-op. Keep the block short. Use `allowed` around a step that may take long.
    """

    __slots__ = ("_is_outermost",)

    def __enter__(self) -> None:
        self._is_outermost = False
        if _before or get_ident() != _main_thread:
            return
        _noted.clear()
        self._is_outermost = True
        try:
            _take_over()
        except BaseException:  # raised by a handler that was not replaced yet
            _give_back()
            raise

    def __exit__(self, *_: object) -> None:
        if self._is_outermost:
            _give_back()
            if _noted:
                _deliver()


class allowed:  # noqa: N801
    """Let signals in while the block lasts, although they are `deferred`.

    Signals that were noted before are delivered first. A signal that arrives while an
    exception leaves the block is noted again.
    """

    __slots__ = ("_is_deferred",)

    def __enter__(self) -> None:
        can_change = bool(_before) and not _is_changing
        self._is_deferred = can_change and _is_main_thread()
        if self._is_deferred:
            check()
            try:
                _give_back()
                _deliver()  # signals that were noted after `check`
            except BaseException:
                _take_over()  # the block does not begin, so nothing calls __exit__
                raise

    def __exit__(self, *_: object) -> None:
        if self._is_deferred:
            _take_over()


def check() -> None:
    """Run the handlers of noted signals; they may raise."""
    if _noted and _is_main_thread():
        for number in list(_noted):
            _noted.pop(number)
            handler = _before.get(number)
            if handler is not None:
                handler(number, None)


def is_waiting() -> bool:
    """Return whether a signal waits for the end of a `deferred` block."""
    return bool(_noted) and bool(_before) and _is_main_thread()


def slices(seconds: float | None = None) -> Iterator[float]:
    """Yield how long to sleep next, in seconds, until the time is over.

    Parameters
    ----------
    seconds : float, optional
        Longest time to sleep altogether; by default, without end. Even for 0 or less,
        there is one slice, of no length.
    """
    while seconds is None:
        yield SLICE
    until = clock.monotonic() + seconds
    yield max(0.0, min(seconds, SLICE))
    while (left := until - clock.monotonic()) > 0:
        yield min(left, SLICE)


def _is_main_thread() -> bool:
    return get_ident() == _main_thread


def _take_over() -> None:
    global _is_changing
    _is_changing = True
    try:
        _replace_all()  # its loop in a function: see above
    finally:
        _is_changing = False


def _replace_all() -> None:
    for number in _SIGNALS:
        handler = _handlers.getsignal(number)
        if callable(handler) and handler is not _note:
            # First. An interrupt between the lines in the other order would leave a
            # handler that `_give_back` does not know.
            _before[number] = handler
            _handlers.signal(number, _note)


def _give_back() -> None:
    global _is_changing
    _is_changing = True
    try:
        for number, handler in list(_before.items()):
            _restore(number, handler)
        _before.clear()  # last: `_give_back` restores what is in it if interrupted
    except BaseException:  # raised by a handler that was restored already
        _give_back()
        raise
    finally:
        _is_changing = False


def _restore(number: int, handler: Callable[[int, Any], Any]) -> None:
    if _handlers.getsignal(number) is _note:  # otherwise the program has set a handler
        _handlers.signal(number, handler)


def _deliver() -> None:
    """Raise the noted signals again, for the handlers that are set now."""
    # Each once. A program may have set `_note` for its handler, which it found in a
    # finalizer, and would have it note them again and again.
    for number in list(_noted):
        _noted.pop(number, None)
        _thread.interrupt_main(signal.Signals(number))


def _restore_after_fork() -> None:
    global _main_thread
    _main_thread = threading.main_thread().ident
    _give_back()
    _noted.clear()


os.register_at_fork(after_in_child=_restore_after_fork)
