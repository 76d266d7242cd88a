"""A barrier: processes, threads and kernels wait there for each other."""

from __future__ import annotations

import operator
from threading import BrokenBarrierError

from ..arrays.creation import zeros
from ..native import atomic
from . import barrier_protocol
from .barrier_protocol import MOST_PARTIES, PARTIES, SIZE, STATE
from .cells import Cells

# How often to look before going to sleep. The looks take about as long as falling
# asleep and being woken, so a wait costs at most twice its minimum.
SPINS = 10
SPINS_IN_KERNELS = 500
MESSAGE = (
    "the barrier is broken: a party has called abort() or reset(), or did not arrive "
    "in time; find out why, then reset() it"
)


class Barrier(Cells):
    """A barrier of `parties` processes, threads and kernels, which can be reused.

    It works like `threading.Barrier`, without `action`. Pass it to other processes, or
    to kernels as an argument. Kernels use it in the same way.

    If a party is killed before it arrives, the others keep waiting. Pass a timeout, or
    call `abort` in the process that supervises the parties. Kernels in threads of one
    process need ``nogil=True``: a kernel that waits would otherwise hold the GIL, and
    the others could not run.

    Parameters
    ----------
    parties : int
        Number of parties, 1 to 65535.

    Examples
    --------
    >>> from sharray.sync.barrier import Barrier
    >>> barrier = Barrier(1)
    >>> barrier.wait(), barrier.wait()
    (0, 0)
    >>> barrier.abort()
    >>> barrier.wait()
    Traceback (most recent call last):
        ...
    threading.BrokenBarrierError: the barrier is broken: ...
    """

    __slots__ = ()

    def __init__(self, parties: int) -> None:
        parties = operator.index(parties)
        if not 1 <= parties <= MOST_PARTIES:
            raise ValueError(
                f"expected 1 to {MOST_PARTIES} parties at a barrier, got {parties}"
            )
        self._cells = zeros(SIZE, "i8")
        self._cells[PARTIES] = parties

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have arrived.

        Parameters
        ----------
        timeout : float, optional
            Seconds after which the barrier breaks; by default, wait forever.

        Returns
        -------
        int
            Order of arrival, 0 to ``parties - 1``; each party gets another number.

        Raises
        ------
        threading.BrokenBarrierError
            The barrier is or was broken or reset, or the timeout has expired. If all
            parties had arrived before that, the call returns.
        """
        timeout_ns = barrier_protocol.nanoseconds(timeout)
        try:
            index = barrier_protocol.wait(self._cells, timeout_ns, SPINS)
        except BaseException:
            # For example KeyboardInterrupt. The others have counted this party, and
            # would go on as if it were there.
            self.abort()
            raise
        if index < 0:
            raise BrokenBarrierError(MESSAGE)
        return int(index)

    def abort(self) -> None:
        """Break the barrier: present and future waiters get an error."""
        barrier_protocol.abort(self._cells)

    def reset(self) -> None:
        """Return the barrier to its initial state; present waiters get an error."""
        barrier_protocol.reset(self._cells)

    @property
    def broken(self) -> bool:
        """Return whether the barrier is broken."""
        return bool(barrier_protocol.broken(atomic.load(self._cells, STATE)))

    @property
    def n_waiting(self) -> int:
        """Return how many parties wait now."""
        return int(barrier_protocol.waiting(atomic.load(self._cells, STATE)))

    @property
    def parties(self) -> int:
        """Return how many parties must arrive."""
        return int(self._cells[PARTIES])

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.n_waiting} waiting"
        return f"<Barrier of {self.parties}, {state}>"
