"""A number that all processes count with."""

from __future__ import annotations

from ..array.creation import zeros
from ..native import atomic
from .cells import Cells


class Counter(Cells):
    """A number in shared memory that many add to at the same time.

    Pass it to other processes, and as an argument to kernels, where it is used in
    the same way. It has a cache line of its own, so that counting does not slow
    down those who use other memory.

    Parameters
    ----------
    start : int, default 0
        The number to begin with, of 64 bits.

    Examples
    --------
    Each call gets a number that nobody else gets:

    >>> from sharray.sync.counter import Counter
    >>> tickets = Counter()
    >>> tickets.add(), tickets.add(), tickets.add(10)
    (0, 1, 2)
    >>> tickets.value
    12
    """

    __slots__ = ()

    def __init__(self, start: int = 0) -> None:
        self._cells = zeros(8, "i8")  # 64 bytes, a cache line
        self.reset(start)

    def add(self, n: int = 1) -> int:
        """Add to the number, and return what it was before.

        Examples
        --------
        >>> from sharray.sync.counter import Counter
        >>> counter = Counter(5)
        >>> counter.add(2), counter.add(-1), counter.value
        (5, 7, 6)
        """
        return int(atomic.add(self._cells, 0, n))

    @property
    def value(self) -> int:
        """The number now; others may be changing it."""
        return int(atomic.load(self._cells, 0))

    def reset(self, value: int = 0) -> None:
        """Set the number.

        Examples
        --------
        >>> from sharray.sync.counter import Counter
        >>> counter = Counter(5)
        >>> counter.reset()
        >>> counter.value
        0
        """
        atomic.store(self._cells, 0, value)

    def __repr__(self) -> str:
        return f"Counter({self.value})"
