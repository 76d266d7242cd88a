"""Tables of the numbers by which a team's processes know programs and segments.

A program keeps its number as long as the team exists. The number of a segment is used
again::

             `number`                 its root is freed
      free  ---------->  in use here  ---------------->  gone
       ^                      |                            |
       |                      | attach                     | forget, to each worker
       |                      v                            v
       |               mapped in workers             forgotten by all
       |                                                   |
       +---------------------------------------------------+
                            `free`

Only the team's process writes these tables. Each worker keeps the addresses of its
mappings in its own array.

Invariants

- A number is free only if no worker has a mapping for it. Otherwise a kernel would work
  on the memory of another array.
- `gone` is a queue. A callback in C appends to it, at any moment. `free` takes exactly
  those from its front for which `forget` was sent.

A worker that is killed leaves nothing here: its successor starts without segments.
After an interrupt between `forget` and `free`, `forget` is sent once more.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays.root import Root
from ...errors import TeamError
from ...kernels.compiled import Compiled
from ...system import interrupts

CALL = 0  # the program of all functions: Python calls them
MOST_PROGRAMS = 1 << 16
MOST_SEGMENTS = 1 << 16


class Programs:
    """Numbers of kernels that are compiled for certain types."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, compiled: Compiled) -> int:
        """Return the number of a program, a new one for a new program."""
        number = self._numbers.setdefault(compiled.code.entry, len(self._numbers) + 1)
        if number >= MOST_PROGRAMS:
            raise TeamError(
                f"expected at most {MOST_PROGRAMS} different kernels in a team, got "
                "one more; close this team and start another"
            )
        return number


class Segments:
    """Numbers of mapped files, valid as long as this process has them mapped.

    Attributes
    ----------
    bases : ndarray of int64
        Address of each segment in this process.
    gone : deque of weakref
        Segments that were unmapped here, and that workers should unmap too.
    when_gone : callable
        Called after a segment was unmapped, unless an interrupt prevents it.
    """

    def __init__(self) -> None:
        self.bases = np.zeros(MOST_SEGMENTS, np.int64)
        self.gone: deque[_Numbered] = deque()
        self.when_gone: Callable[[], None] = nothing
        self._by_id: dict[int, _Numbered] = {}
        self._by_number: dict[int, _Numbered] = {}
        self._free: list[int] = []
        self._next = 0

    def number(self, root: Root) -> int:
        """Return the number of a segment, a new one for a new segment."""
        known = self._by_id.get(id(root))
        if known is not None and known() is root:
            return known.number
        with interrupts.deferred():  # no number is lost between taking and using it
            return self._take_number(root)

    def _take_number(self, root: Root) -> int:
        if self._free:
            number = self._free.pop()
        else:
            number = self._next
            self._next += 1
        if number >= MOST_SEGMENTS:
            raise TeamError(
                f"expected at most {MOST_SEGMENTS} arrays in a team at a time, got one "
                "more; put several into one array and slice it"
            )
        self.bases[number] = root.address
        self._watch(root, number)
        return number

    def _watch(self, root: Root, number: int) -> None:
        segments = weakref.ref(self)

        def tell(_: object) -> None:
            found = segments()
            if found is not None:
                found.when_gone()

        # An interrupt may skip a callback in Python for good, but not one in C. So C
        # appends to `gone`, and only the call of `when_gone` may be skipped. CPython
        # calls the newest callback first: `tell` is made first, to find `gone` filled.
        teller = weakref.ref(root, tell)
        note: Callable[[Any], None] = self.gone.append
        reference = _Numbered(root, note)
        reference.number, reference.key, reference.teller = number, id(root), teller
        self._by_id[reference.key] = reference
        self._by_number[number] = reference

    def root(self, number: int) -> Root:
        """Return the segment with a number."""
        root = self._by_number[number]()
        assert root is not None, "a plan's arrays keep it"
        return root

    def numbers_gone(self) -> list[int]:
        """Return the numbers of the segments that were unmapped here, oldest first."""
        return [reference.number for reference in list(self.gone)]

    def free(self, count: int) -> None:
        """Free the first numbers of `gone`, which all workers have forgotten.

        Call this while signals are deferred.
        """
        for _ in range(count):
            reference = self.gone.popleft()
            if self._by_id.get(reference.key) is reference:
                del self._by_id[reference.key]
            del self._by_number[reference.number]
            self._free.append(reference.number)


class _Numbered(weakref.ref[Root]):
    """A weak reference that knows the number of its segment."""

    __slots__ = ("key", "number", "teller")
    key: int
    number: int
    teller: weakref.ref[Root]


def nothing() -> None:
    """Do nothing when a segment is gone."""
