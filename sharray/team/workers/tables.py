"""Numbers by which the processes of a team know programs and segments.

A program keeps its number as long as the team exists. The number of a segment is used
again::

             `number`                   its root dies
      free  ---------->  in use here  ---------------->  gone
       ^                      |                            |
       |                      | attach                     | forget, to each worker
       |                      v                            v
       |               mapped in workers             forgotten by all
       |                                                   |
       +---------------------------------------------------+
                            `free`

Only the team's process writes these tables. Each worker has the addresses of its own
mappings in an array of its own.

Invariants

- A number is free only if no worker has a mapping for it. Else a kernel would work on
  the memory of another array.
- `gone` is a queue. A callback in C appends to it, at any moment. `free` takes from its
  front exactly those that the workers were told of.

A worker that is killed leaves nothing here: its successor knows no number. After an
interrupt between `forget` and `free`, the workers are told once more.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from ...array.root import Root
from ...errors import TeamError
from ...kernels.compiled import Compiled
from ...system import interrupts

MOST_PROGRAMS = 1 << 16
MOST_SEGMENTS = 1 << 16


class Programs:
    """Kernels, compiled for certain types, by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, compiled: Compiled) -> int:
        """The number of a program, a new one at first."""
        number = self._numbers.setdefault(compiled.code.entry, len(self._numbers))
        if number >= MOST_PROGRAMS:
            raise TeamError(
                f"a team can run {MOST_PROGRAMS} different kernels; close this one and "
                "start another"
            )
        return number


class Segments:
    """Mapped files, by number, as long as this process has them mapped.

    Attributes
    ----------
    bases : ndarray of int64
        Where each is in this process.
    gone : deque of weakref
        Those that were unmapped here, and that workers should unmap too.
    when_gone : callable
        Is called then, unless an interrupt comes in between.
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
        """The number of a segment, a new one at first."""
        known = self._by_id.get(id(root))
        if known is not None and known() is root:
            return known.number
        with interrupts.deferred():  # a number is taken and used, or neither
            return self._take_number(root)

    def _take_number(self, root: Root) -> int:
        if self._free:
            number = self._free.pop()
        else:
            number = self._next
            self._next += 1
        if number >= MOST_SEGMENTS:
            raise TeamError(
                f"a team can work on {MOST_SEGMENTS} arrays at a time; put several "
                "into one array and slice it"
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

        # An interrupt may keep a callback in Python from running, for good, but not one
        # in C, which notes that the segment is gone. That somebody is told at once is
        # not needed. Callbacks are called from the last one on, so `tell` is first.
        teller = weakref.ref(root, tell)
        note: Callable[[Any], None] = self.gone.append
        reference = _Numbered(root, note)
        reference.number, reference.key, reference.teller = number, id(root), teller
        self._by_id[reference.key] = reference
        self._by_number[number] = reference

    def root(self, number: int) -> Root:
        """The segment with a number."""
        root = self._by_number[number]()
        assert root is not None, "a plan's arrays keep it"
        return root

    def numbers_gone(self) -> list[int]:
        """The numbers of those that were unmapped here, the first ones first."""
        return [reference.number for reference in list(self.gone)]

    def free(self, count: int) -> None:
        """Use the first numbers of `gone` again, which all workers have forgotten.

        To be called while signals are deferred.
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
    """Tell nobody that a segment is gone."""
