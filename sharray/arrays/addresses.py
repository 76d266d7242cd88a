"""Look-up of the root array whose memory contains an address.

Sending a message looks up each of its buffers. A linear search would make that
quadratic in the number of roots. Mappings do not overlap, so a binary search is enough:
only the root with the nearest start at or below an address can contain it.
"""

from __future__ import annotations

import bisect
import os
import weakref
from collections import deque
from typing import Generic, TypeVar

from ..system import interrupts
from ..system.thread_locks import Lock

T = TypeVar("T")

_FEW = 8


class Addresses(Generic[T]):
    """Roots, sorted by address.

    Invariants while no thread holds the lock: `_starts` is sorted, and `_ends` and
    `_at` have the same addresses. Dead roots may be among them; a new root may reuse
    their address.

    Garbage collection and signal handlers can call either method at any point of
    another call, in the thread that holds the lock. So `add` only appends. A nested
    `find` returns None, and its caller then copies the values.
    """

    def __init__(self) -> None:
        self._added: deque[tuple[int, int, weakref.ref[T]]] = deque()
        self._starts: list[int] = []
        self._ends: dict[int, int] = {}
        self._at: dict[int, weakref.ref[T]] = {}
        self._most = 64  # roots before the next removal of dead ones
        self._lock = Lock(reentrant=True)
        self._is_busy = False
        os.register_at_fork(
            before=self._lock.acquire,
            after_in_parent=self._lock.release,
            after_in_child=self._lock.release,
        )

    def add(self, root: T, start: int, nbytes: int) -> None:
        """Add a newly mapped root that starts at `start`."""
        self._added.append((start, start + nbytes, weakref.ref(root)))
        if len(self._added) > self._most:
            self.find(0)

    def find(self, address: int) -> T | None:
        """Return the root whose memory contains an address, or None."""
        with self._lock:
            if self._is_busy:
                return None
            self._is_busy = True
            try:
                if self._added:
                    with interrupts.deferred():  # keeps the containers equal
                        self._sort_in()
                return self._find(address)
            finally:
                self._is_busy = False

    def _sort_in(self) -> None:
        new: list[int] = []
        while self._added:
            start, end, reference = self._added.popleft()
            if reference() is None:
                continue
            if start not in self._at:
                new.append(start)
            self._ends[start], self._at[start] = end, reference
        # To insert each moves half of the list, to sort looks at all of it once.
        if len(new) > _FEW:
            self._starts += new
            self._starts.sort()
        else:
            for start in new:
                bisect.insort(self._starts, start)
        if len(self._starts) > self._most:
            self._at = {
                start: found for start, found in self._at.items() if found() is not None
            }
            self._ends = {start: self._ends[start] for start in self._at}
            self._starts = sorted(self._at)
            self._most = 2 * len(self._starts) + 64

    def _find(self, address: int) -> T | None:
        while below := bisect.bisect_right(self._starts, address):
            start = self._starts[below - 1]
            root = self._at[start]()
            if root is not None:
                return root if address < self._ends[start] else None
            # A larger root with a lower start may cover the address by now.
            del self._starts[below - 1], self._ends[start], self._at[start]
        return None
