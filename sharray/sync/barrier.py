"""A place where processes wait for each other."""

from __future__ import annotations

import operator
from threading import BrokenBarrierError

from ..array.creation import zeros
from ..native import atomic
from . import barrier_protocol
from .barrier_protocol import MOST_PARTIES, PARTIES, SIZE, STATE
from .cells import Cells

# How often to look before going to sleep: for about as long as falling asleep and
# being woken takes, since then the wait was wasted only once.
SPINS = 10
SPINS_IN_KERNELS = 500
MESSAGE = (
    "the barrier is broken: a party has called abort() or reset(), or did not come in "
    "time; find out why, then reset() it"
)


class Barrier(Cells):
    """Lets go of all who wait once `parties` of them have come, again and again.

    It works as `threading.Barrier` does, between processes, threads and kernels.
    Pass it to other processes, and as an argument to kernels, where it is used in
    the same way.

    A party that is killed does not come, and the others wait on. Pass a timeout, or
    let who watches the processes call `abort`. In threads of one process, kernels
    must be compiled with ``nogil=True``, or those that wait keep the others from
    running.

    Parameters
    ----------
    parties : int
        How many must come, 1 to 65535.

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
        """Wait until all parties have come.

        Parameters
        ----------
        timeout : float, optional
            Seconds. When they are over, the barrier breaks.

        Returns
        -------
        int
            How many came before this one: 0 to ``parties - 1``, each once.

        Raises
        ------
        threading.BrokenBarrierError
            The barrier is broken or was reset, or the time is over.
        """
        timeout_ns = barrier_protocol.nanoseconds(timeout)
        try:
            index = barrier_protocol.wait(self._cells, timeout_ns, SPINS)
        except BaseException:
            # Say KeyboardInterrupt: this party has come, and is gone again. The others
            # would count it, and go on as if it were there.
            self.abort()
            raise
        if index < 0:
            raise BrokenBarrierError(MESSAGE)
        return int(index)

    def abort(self) -> None:
        """Break the barrier: who waits now or comes later gets an error."""
        barrier_protocol.abort(self._cells)

    def reset(self) -> None:
        """Make the barrier as new; who waits now gets an error."""
        barrier_protocol.reset(self._cells)

    @property
    def broken(self) -> bool:
        """Whether the barrier is broken."""
        return bool(barrier_protocol.broken(atomic.load(self._cells, STATE)))

    @property
    def n_waiting(self) -> int:
        """How many wait now."""
        return int(barrier_protocol.waiting(atomic.load(self._cells, STATE)))

    @property
    def parties(self) -> int:
        """How many must come."""
        return int(self._cells[PARTIES])

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.n_waiting} waiting"
        return f"<Barrier of {self.parties}, {state}>"
