"""How a barrier works; interpreted in Python, compiled in kernels.

The state is one integer, which every change replaces as a whole. From the lowest bit:

===========  =================================================================
1 bit        whether the barrier is broken
31 bits      number of the generation
16 bits      how many parties wait
14 bits      how the latest generations ended, the last one lowest: 0 completed,
             1 reset
===========  =================================================================

::

                  a party arrives, not the last one: n + 1
                     +---+
                     |   v         the last one arrives
      generation g, n waiting   --------------------->   generation g + 1, 0 waiting
          |               |                              (g completed)
          | abort, or a   |
          | timeout       |  reset, if n > 0
          v               +------------------------->   generation g + 1, 0 waiting
      generation g, broken, 0 waiting  ------------->   (g reset)
                                           reset

A waiter sleeps until the low 32 bits change. Then it looks how its own generation
ended; later ones may have ended as well. The barrier remembers the endings of the
latest `REMEMBERED` generations. A waiter that looks later than that cannot tell a reset
of its own generation from a later reset. If there was any since it arrived, it raises
an error.

====================  ========================================================
word                  writer
====================  ========================================================
STATE                 each party, and each process that aborts or resets; by
                      compare-and-exchange only
RESETS                each process that resets, before each attempt
PARTIES               the creator, before any other process has the barrier
====================  ========================================================

Invariants

- Nobody stores to STATE without comparing. Of two parties that arrive at the same time,
  one fails to exchange, and looks again.
- The low 32 bits change whenever a waiter must wake. An arrival changes only higher
  bits, so it wakes nobody.
- A process that changes the low bits wakes all waiters. Sleepers look every 50 ms even
  so.
- RESETS grows between the arrival of a waiter and each later state that a reset made.

A process that is killed leaves

======================================  ======================================
killed                                  left behind
======================================  ======================================
before it arrives                       the others, which wait for it: they
                                        need a timeout, or an abort
while it waits                          its arrival: the others go on without
                                        it
last to arrive, before it wakes others  nothing: they look by themselves
resetting, before the exchange          RESETS one higher: an error for
                                        waiters that look very late
======================================  ======================================
"""

from __future__ import annotations

from typing import Any

from ..native import atomic
from ..native.waiting import futex_wait, futex_wake, now_ns, pause

STATE = 0
RESETS = 1
PARTIES = 8  # in another cache line: it never changes
SIZE = 16
MOST_PARTIES = 0xFFFF
BROKEN = -1
_BROKEN_BIT = 1
_GENERATION = 2
_PHASE = 0xFFFFFFFF
_ARRIVAL = 1 << 32
_ENDINGS = 48  # position of the lowest bit
REMEMBERED = 14
_LATEST_ENDINGS = (1 << REMEMBERED) - 1
_EVERYBODY = 2**31 - 1
_SLICE_NS = 50_000_000  # so often Python looks for signals
_LONGEST = 1e9  # seconds


def nanoseconds(timeout: Any) -> int:
    """Convert a timeout in seconds for `wait`; None means forever."""
    if timeout is None:
        return -1
    return int(max(0.0, min(timeout, _LONGEST)) * 1e9)


def wait(cells: Any, timeout_ns: int, spins: int) -> int:
    """Wait until all parties have arrived.

    Parameters
    ----------
    cells : ndarray
        The barrier.
    timeout_ns : int
        Timeout in nanoseconds; forever if negative.
    spins : int
        How often to look before going to sleep.

    Returns
    -------
    int
        How many parties arrived before this one, or BROKEN.
    """
    # Before the arrival: every reset of this generation or a later one counts after it.
    resets = atomic.load(cells, RESETS)
    replaced, last, state, index = False, False, 0, 0
    while not replaced:
        before = atomic.load(cells, STATE)
        if before & _BROKEN_BIT:
            return BROKEN
        # All from one load. A second load could see the next generation.
        index = waiting(before)
        last = index + 1 == cells[PARTIES]
        state = _next_generation(before, 0) if last else before + _ARRIVAL
        replaced = atomic.compare_exchange(cells, STATE, before, state)[1]
    # After the exchange. Waiters woken before it would find nothing new, and sleep on.
    if last:
        futex_wake(cells, STATE, _EVERYBODY)
        return index
    now = _sleep(cells, state, timeout_ns, spins)
    return index if _was_completed(cells, state, now, resets) else BROKEN


def abort(cells: Any) -> None:
    """Break the barrier."""
    state = atomic.load(cells, STATE)
    while not _break(cells, state & _PHASE):
        state = atomic.load(cells, STATE)


def reset(cells: Any) -> None:
    """Make the barrier whole and empty again; waiters find it broken."""
    replaced = False
    while not replaced:
        before = atomic.load(cells, STATE)
        # Nobody waits. A new generation would only delay parties that arrive now.
        if before & _BROKEN_BIT == 0 and waiting(before) == 0:
            return
        # Between the load and the exchange, which fails if anybody arrives in between.
        # Outside of them, a waiter could count this reset before its own arrival, and
        # take its generation for completed.
        atomic.add(cells, RESETS, 1)
        after = _next_generation(before, 1)
        replaced = atomic.compare_exchange(cells, STATE, before, after)[1]
    futex_wake(cells, STATE, _EVERYBODY)


def waiting(state: int) -> int:
    """Return how many parties wait in a state."""
    return (state >> 32) & MOST_PARTIES


def broken(state: int) -> bool:
    """Return whether a state is broken."""
    return state & _BROKEN_BIT != 0


def _next_generation(state: int, was_reset: int) -> int:
    """Return the state after a generation: whole, and nobody waits."""
    endings = ((state >> _ENDINGS) << 1 | was_reset) & _LATEST_ENDINGS
    return endings << _ENDINGS | ((state & ~_BROKEN_BIT) + _GENERATION) & _PHASE


def _sleep(cells: Any, state: int, timeout_ns: int, spins: int) -> int:
    """Wait until the phase of a state has ended; return a later state."""
    phase = state & _PHASE
    deadline = now_ns() + timeout_ns
    now: int = atomic.load(cells, STATE)
    while now & _PHASE == phase:
        left = deadline - now_ns() if timeout_ns >= 0 else _SLICE_NS
        if left <= 0:
            _break(cells, phase)
        elif spins > 0:
            spins -= 1
            pause()
        else:
            # The kernel compares the low bits again. Otherwise a change after the load
            # would wake nobody.
            futex_wait(cells, STATE, phase, min(left, _SLICE_NS))
        now = atomic.load(cells, STATE)
    return now


def _was_completed(cells: Any, state: int, now: int, resets: int) -> bool:
    """Tell whether all parties came in the generation of a state.

    Parameters
    ----------
    cells : ndarray
        The barrier.
    state : int
        The state after this party's arrival.
    now : int
        A later state, of another phase.
    resets : int
        RESETS before the arrival.
    """
    ended = ((now - state) & _PHASE) >> 1  # generations; without the broken bit
    if ended == 0:
        return False  # broken
    # Not by the latest ending: the next generation may have been reset since.
    if ended <= REMEMBERED:
        return (now >> (_ENDINGS + ended - 1)) & 1 == 0
    was_never_reset: bool = atomic.load(cells, RESETS) == resets
    return was_never_reset


def _break(cells: Any, phase: int) -> bool:
    """Break the barrier if it is still in this phase; return whether it was."""
    before = atomic.load(cells, STATE)
    # If the last party came just before the timeout, nothing is broken.
    if before & _PHASE != phase:
        return False
    endings = (before >> _ENDINGS) << _ENDINGS
    after = endings | before & _PHASE | _BROKEN_BIT
    if not atomic.compare_exchange(cells, STATE, before, after)[1]:
        return False
    futex_wake(cells, STATE, _EVERYBODY)
    return True
