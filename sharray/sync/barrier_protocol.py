"""How a barrier works; interpreted in Python, compiled in kernels.

All that changes is one integer, which is replaced as a whole: from the lowest bit

===========  =================================================================
1 bit        whether the barrier is broken
31 bits      the generation: how often all have come, or it was reset
16 bits      how many wait
14 bits      how often it was reset
===========  =================================================================

::

                  a party comes, not the last one: n + 1
                     +---+
                     |   v         the last one comes
      generation g, n waiting   --------------------->   generation g + 1, 0 waiting
          |               |                                         ^
          | abort, or a   |             reset, if n > 0             |
          | timeout       +-----------------------------------------+
          v                                                         |
      generation g, broken, 0 waiting   ----------------------------+
                                                 reset

Those who wait sleep until the low 32 bits change, and then look at the rest: their
generation was let go, or it was broken or reset.

====================  ========================================================
word                  writer
====================  ========================================================
STATE                 every party, whoever aborts or resets: by comparing and
                      replacing
PARTIES               who makes the barrier, before anybody else has it
====================  ========================================================

Invariants

- Nobody stores to STATE without comparing. Of two that come at the same time, one is
  refused, and looks again.
- The low 32 bits change whenever somebody must wake. An arrival changes only higher
  ones, so that it wakes nobody.
- A party that changes the low bits wakes all. Sleepers look every 50 ms even so.

A process that is killed leaves

=====================================  =======================================
killed                                 left behind
=====================================  =======================================
before it has come                     the others, who wait for it: they need a
                                       timeout, or somebody who aborts
while it waits                         its arrival: the others go on without it
the last one, before it wakes others   nothing: they look by themselves
=====================================  =======================================
"""

from __future__ import annotations

from typing import Any

from ..native import atomic
from ..native.waiting import futex_wait, futex_wake, now_ns, pause

STATE = 0
PARTIES = 8  # in another cache line: it never changes
SIZE = 16
MOST_PARTIES = 0xFFFF
BROKEN = -1

_BROKEN_BIT = 1
_GENERATION = 2
_PHASE = 0xFFFFFFFF
_ARRIVAL = 1 << 32
_RESET = 1 << 48
_RESETS = (1 << 62) - _RESET
_EVERYBODY = 2**31 - 1
_SLICE_NS = 50_000_000  # so often Python looks for signals
_LONGEST = 1e9  # seconds


def nanoseconds(timeout: Any) -> int:
    """A time in seconds for `wait`; None is forever."""
    if timeout is None:
        return -1
    return int(max(0.0, min(timeout, _LONGEST)) * 1e9)


def wait(cells: Any, timeout_ns: int, spins: int) -> int:
    """Wait until all have come.

    Parameters
    ----------
    cells : ndarray
        The barrier.
    timeout_ns : int
        How long at most; forever if negative.
    spins : int
        How often to look before going to sleep.

    Returns
    -------
    int
        How many came before, or BROKEN.
    """
    replaced, last, state, index = False, False, 0, 0
    while not replaced:
        before = atomic.load(cells, STATE)
        if before & _BROKEN_BIT:
            return BROKEN
        # All from one load. Looked at again, the word could be one generation further.
        index = waiting(before)
        last = index + 1 == cells[PARTIES]
        state = _next_generation(before) if last else before + _ARRIVAL
        replaced = atomic.compare_exchange(cells, STATE, before, state)[1]
    # After the replacement: woken before, they would find nothing new, and sleep again.
    if last:
        futex_wake(cells, STATE, _EVERYBODY)
    elif not _sleep(cells, state, timeout_ns, spins):
        return BROKEN
    return index


def abort(cells: Any) -> None:
    """Break the barrier."""
    state = atomic.load(cells, STATE)
    while not _break(cells, state & _PHASE):
        state = atomic.load(cells, STATE)


def reset(cells: Any) -> None:
    """Make it whole and empty again; for those who wait it is broken."""
    replaced = False
    while not replaced:
        before = atomic.load(cells, STATE)
        # Nobody is there. Another generation would do no harm, but cost those who come.
        if before & _BROKEN_BIT == 0 and waiting(before) == 0:
            return
        after = (_next_generation(before) & ~_BROKEN_BIT) + _RESET
        replaced = atomic.compare_exchange(cells, STATE, before, after)[1]
    futex_wake(cells, STATE, _EVERYBODY)


def waiting(state: int) -> int:
    """How many wait."""
    return (state >> 32) & MOST_PARTIES


def broken(state: int) -> bool:
    """Whether the barrier is broken."""
    return state & _BROKEN_BIT != 0


def _next_generation(state: int) -> int:
    """Nobody waits any more."""
    return (state & _RESETS) | ((state + _GENERATION) & _PHASE)


def _sleep(cells: Any, state: int, timeout_ns: int, spins: int) -> bool:
    """Wait until a phase ends; whether all had come by then."""
    phase = state & _PHASE
    deadline = now_ns() + timeout_ns
    while atomic.load(cells, STATE) & _PHASE == phase:
        left = deadline - now_ns() if timeout_ns >= 0 else _SLICE_NS
        if left <= 0:
            _break(cells, phase)
        elif spins > 0:
            spins -= 1
            pause()
        else:
            # Compares the low bits again, so that a change after our look is not slept
            # through.
            futex_wait(cells, STATE, phase, min(left, _SLICE_NS))
    # Not by the generation alone: a reset grows it as the last party does.
    now = atomic.load(cells, STATE)
    was_reset = (now ^ state) & _RESETS != 0
    return not was_reset and now & _PHASE != phase | _BROKEN_BIT


def _break(cells: Any, phase: int) -> bool:
    """Break the barrier if it is in this phase still; whether it was."""
    before = atomic.load(cells, STATE)
    # The last party has come just before the time was over: then nothing is broken.
    if before & _PHASE != phase:
        return False
    after = (before & (_RESETS | _PHASE)) | _BROKEN_BIT
    if not atomic.compare_exchange(cells, STATE, before, after)[1]:
        return False
    futex_wake(cells, STATE, _EVERYBODY)
    return True
