"""Locks for threads that Ctrl-C cannot leave locked, and waits that it always ends.

``with`` on a lock of `threading` is not safe in CPython 3.14 (gh-148874): signals are
looked for after the lock was acquired, and before the block begins that releases it.
`Lock` calls what acquires and releases by the two ways that leave no such gap in any
version:

- Its ``__enter__`` is a Python function, after which nothing is checked. It acquires by
  unpacking an iterator, which runs C code without the check that follows a call.
- Its ``__exit__`` is C code: a Python function would look for signals when it starts,
  before it releases.

Locks and events wait in slices, in case a signal comes just before a sleep: see
`sharray.system.interrupts.slices`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from . import interrupts


class Lock:
    """A lock whose ``with`` block always releases it.

    Parameters
    ----------
    reentrant : bool, default False
        Whether the thread that holds it may acquire it again.
    """

    __slots__ = ("__exit__", "acquire", "release")

    # Looked up in the instance: the members of a class with slots are descriptors.
    __exit__: Callable[..., None]
    acquire: Callable[..., bool]
    release: Callable[[], None]

    def __init__(self, *, reentrant: bool = False) -> None:
        lock = threading.RLock() if reentrant else threading.Lock()
        self.__exit__ = lock.__exit__
        self.acquire = lock.acquire
        self.release = lock.release

    def __enter__(self) -> None:
        (is_mine,) = map(self.acquire, (False,))  # not a call: see above
        # Signals are looked for when the loop jumps back: not once the lock is held.
        while not is_mine:
            (is_mine,) = map(self.acquire, (True,), (interrupts.SLICE,))

    def acquire_within(self, seconds: float | None) -> bool:
        """Acquire it, and return False if the time is over; None for no limit.

        An interrupt after this leaves the lock taken. So call it within a ``try`` that
        releases, and that ignores the RuntimeError if the lock was not acquired.
        """
        return any(self.acquire(timeout=one) for one in interrupts.slices(seconds))


class Event:
    """Something that happens once, and for which threads wait.

    A `threading.Event` uses a condition, whose lock an interrupt can leave locked.

    Attributes
    ----------
    is_set : bool
        Whether it has happened.
    """

    __slots__ = ("_lock", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake all threads that wait; call it once."""
        self.is_set = True  # before the release: see `wait`
        self._lock.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it happens; return False if the time is over."""
        for one in interrupts.slices(seconds):
            # An interrupt after `acquire` leaves the lock taken. Others that wait do
            # not need it: they look here after each slice.
            if self.is_set:
                break
            if self._lock.acquire(timeout=one):
                self._lock.release()
        return self.is_set
