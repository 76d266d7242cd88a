"""Roots by the memory that they lie in: which one an address belongs to.

A message looks up each buffer in it, so a search through all roots would take the
square of their number. Mappings do not overlap: the root that begins nearest below an
address is the one that it lies in, if any is.
"""

from __future__ import annotations

import bisect
import os
import threading
import weakref
from collections import deque
from typing import Generic, TypeVar

from ..system import interrupts

T = TypeVar("T")


class Addresses(Generic[T]):
    """Roots in the order of their addresses.

    Invariants, while nobody has the lock: `_starts` is sorted, and `_at` has the same
    addresses. Roots that died may be among them; a later one may have their address.

    Garbage collection and signal handlers may call both methods at any point of either,
    in the thread that has the lock. So `add` only appends, and a `find` within another
    one finds nothing, which costs a copy of the values.
    """

    def __init__(self) -> None:
        self._added: deque[tuple[int, int, weakref.ref[T]]] = deque()
        self._starts: list[int] = []
        self._at: dict[int, tuple[int, weakref.ref[T]]] = {}  # with the ends
        self._most = 64  # before what is dead is cleared away
        self._lock = threading.RLock()
        self._is_busy = False
        os.register_at_fork(
            before=self._lock.acquire,
            after_in_parent=self._lock.release,
            after_in_child=self._lock.release,
        )

    def add(self, root: T, start: int, nbytes: int) -> None:
        """Enter a root that was just mapped, at `start`."""
        self._added.append((start, start + nbytes, weakref.ref(root)))
        if len(self._added) > self._most:
            self.find(0)

    def find(self, address: int) -> T | None:
        """Return the root whose memory an address lies in, if there is one."""
        with self._lock:
            if self._is_busy:
                return None
            self._is_busy = True
            try:
                if self._added:
                    with interrupts.deferred():  # else `_starts` and `_at` would differ
                        self._sort_in()
                return self._find(address)
            finally:
                self._is_busy = False

    def _sort_in(self) -> None:
        while self._added:
            start, end, reference = self._added.popleft()
            if reference() is None:
                continue
            if start not in self._at:
                bisect.insort(self._starts, start)
            self._at[start] = end, reference
        if len(self._starts) > self._most:
            self._at = {
                start: found
                for start, found in self._at.items()
                if found[1]() is not None
            }
            self._starts = sorted(self._at)
            self._most = 2 * len(self._starts) + 64

    def _find(self, address: int) -> T | None:
        while below := bisect.bisect_right(self._starts, address):
            start = self._starts[below - 1]
            end, reference = self._at[start]
            root = reference()
            if root is not None:
                return root if address < end else None
            # A larger one that began below it may lie there by now.
            del self._starts[below - 1], self._at[start]
        return None
