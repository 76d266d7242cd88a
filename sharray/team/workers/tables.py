"""What a team's processes know by number: programs and segments."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable

import numpy as np

from ...array.root import Root
from ...errors import TeamError
from ...kernels.compiled import Compiled

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
    gone : deque of int
        Numbers of those that were unmapped here, and that workers should unmap too.
    when_gone : callable
        Is called then.
    """

    def __init__(self) -> None:
        self.bases = np.zeros(MOST_SEGMENTS, np.int64)
        self.gone: deque[int] = deque()
        self.when_gone: Callable[[], None] = _nothing
        self._numbers: dict[int, tuple[int, weakref.ref[Root]]] = {}
        self._roots: dict[int, weakref.ref[Root]] = {}
        self._free: list[int] = []
        self._next = 0

    def number(self, root: Root) -> int:
        """The number of a segment, a new one at first."""
        known = self._numbers.get(id(root))
        if known is not None and known[1]() is root:
            return known[0]
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
        key = id(root)
        segments = weakref.ref(self)

        def forget(_: object) -> None:
            found = segments()
            if found is not None:
                found._forget(key, number)

        reference = weakref.ref(root, forget)
        self._numbers[key] = number, reference
        self._roots[number] = reference

    def _forget(self, key: int, number: int) -> None:
        known = self._numbers.get(key)
        if known is not None and known[0] == number:
            del self._numbers[key]
        self.gone.append(number)
        self.when_gone()

    def root(self, number: int) -> Root:
        """The segment with a number."""
        root = self._roots[number]()
        assert root is not None, "a plan's arrays keep it"
        return root

    def free(self, number: int) -> None:
        """Use a number again, after all workers have forgotten what it meant."""
        self._roots.pop(number, None)
        self._free.append(number)


def _nothing() -> None:
    pass
