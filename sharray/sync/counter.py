"""An atomic counter in shared memory."""

from __future__ import annotations

from ..arrays.creation import zeros
from ..native import atomic
from ..native.atomic_elements import CALLS_AS_INT
from .cells import Cells


class Counter(Cells):
    """A 64-bit integer in shared memory, to which many processes add at the same time.

    Pass it to other processes, or to kernels as an argument. Kernels use it in the same
    way. It fills a cache line, so counting does not slow down code that uses other
    memory.

    Parameters
    ----------
    start : int, default 0
        Initial value.

    Examples
    --------
    Each call gets a different number, in whichever process:

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
        """Add to the value, and return the value before.

        Integers wrap around at 64 bits.

        Examples
        --------
        >>> from sharray.sync.counter import Counter
        >>> counter = Counter(5)
        >>> counter.add(2), counter.add(-1), counter.value
        (5, 7, 6)
        """
        old: int = CALLS_AS_INT.add(self._cells, 0, n)
        return old

    @property
    def value(self) -> int:
        """Return the present value; other processes may be changing it."""
        value: int = CALLS_AS_INT.load(self._cells, 0)
        return value

    def reset(self, value: int = 0) -> None:
        """Set the value.

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
