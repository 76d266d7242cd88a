"""Functions that run at each fork, even if Ctrl-C arrives just then.

CPython prints and drops exceptions that are raised in such a function, and still forks.
An interrupt at its first instruction would skip it: a child would write to its parent's
memory, or a lock would stay locked. So each function is registered twice. The second
call does the work if the first was interrupted, and is a no-op otherwise.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from . import interrupts

_count = 0


def count() -> int:
    """Return how often this process was forked, and its ancestors before it was."""
    return _count


class _Fork:
    """Runs each function once per fork, although each is called twice."""

    def __init__(
        self,
        before: Callable[[], None],
        after_in_parent: Callable[[], None],
        after_in_child: Callable[[], None],
    ) -> None:
        self._before = before
        self._after_in_parent = after_in_parent
        self._after_in_child = after_in_child
        self._forking: set[int] = set()  # threads

    def begin(self) -> None:
        with interrupts.deferred():
            thread = threading.get_ident()
            if thread not in self._forking:
                # Before the call: a function that failed half way must not run twice.
                self._forking.add(thread)
                self._before()

    def go_on_in_parent(self) -> None:
        with interrupts.deferred():
            thread = threading.get_ident()
            if thread in self._forking:
                self._forking.discard(thread)
                self._after_in_parent()

    def go_on_in_child(self) -> None:
        with interrupts.deferred():
            if self._forking:
                self._forking.clear()
                self._after_in_child()


def _do_nothing() -> None:
    pass


def at_fork(
    *,
    before: Callable[[], None] = _do_nothing,
    after_in_parent: Callable[[], None] = _do_nothing,
    after_in_child: Callable[[], None] = _do_nothing,
) -> None:
    """Call functions at each fork, like `os.register_at_fork`.

    Parameters
    ----------
    before : callable
        Runs before the fork. It may take locks, so that no other thread holds them
        during the fork.
    after_in_parent, after_in_child : callable
        Undo what `before` did.
    """
    fork = _Fork(before, after_in_parent, after_in_child)
    for _ in range(2):
        os.register_at_fork(
            before=fork.begin,
            after_in_parent=fork.go_on_in_parent,
            after_in_child=fork.go_on_in_child,
        )


def _note() -> None:
    global _count
    _count += 1


at_fork(before=_note)
