"""Claims: how much work a member takes at a time, as machine code.

A run is divided into grains, the smallest pieces that a member can take. A member
claims one or several that follow each other, and works on them as one chunk::

      NEXT = n -- member adds k, gets n -->  chunk = grains n to n + k - 1
                  (n >= CHUNKS: none left)

If ADAPTS is 0, the user chose the size of chunks, and k is 1. Otherwise a member
measures each chunk, and takes as many grains next as fit the goal, a short time::

      grains                                       goal
        |        ####                 #### takes about the goal
        |     ## ####
        |     ## #### ####            at most 8 times the chunk before: the first
        |  #  ## #### #### ##         rows may be cheaper than the others
        |  #  ## #### #### ## #       at most a share of the grains that are left,
        +-------------------------    so that all members finish together

==========================  ==========================================================
work                        effect
==========================  ==========================================================
uniform                     few claims of the goal, and smaller ones at the end
triangular                  each chunk is sized by the one before, so sizes follow
heavy tails                 a member has at most the goal left when others are done,
                            and the longest grain
a constant time per chunk   the goal grows to 64 times that time; a chunk after one of
                            another size shows it: see `_find_constant`
cheap                       the caller does it alone and rings no bell: see `hurry`
==========================  ==========================================================

A run starts with the mean speed of the run before, PACE. It may be wrong by any factor,
since arguments change. So it sizes only the first chunk, which is never more than a
share of the run.

Invariants

- Each grain belongs to exactly one chunk. The atomic add gives each member its own
  range, and nobody gives one back. The last range is cut at CHUNKS.
- The number of grains changes no value, only the time. Every estimate may be wrong.
- No product overflows: `sharray.team.schedule` makes at most 2**36 grains, and times
  are cut at 2**40 ns.
"""

from __future__ import annotations

from typing import Any

from ...native import atomic
from . import layout as at

_GOAL_NS = 128_000  # short for Ctrl-C, long compared with a claim of 0.1 us
_GOAL_CALL_NS = 8_000_000  # calls of Python functions cost 15 us and more
_WORTH_NS = 2_000  # of work that is left, at least so much goes into a chunk
_WORTH_CALL_NS = 100_000
_ALONE_NS = 2_000  # the caller is done before a worker would be of use
_CONSTANTS = 64  # the goal is so many times the constant time of a chunk
_MOST_NS = 1 << 40
_ONE = 1024  # denominators of ratios
_FINE = 16
_UNKNOWN = -1


def begin(control: Any, own: Any, entry: int, now: int) -> None:
    """Forget the chunks of the run before."""
    own[at.TURN] = 0
    own[at.SINCE] = now
    own[at.TAKEN] = 0
    own[at.CONSTANT] = _UNKNOWN
    own[at.SHORTEST] = _MOST_NS
    own[at.LAST_GRAINS] = 0
    own[at.LEAST] = 1
    own[at.WANTED] = 1
    pace = atomic.load(control, at.PACE)
    if pace > 0:
        own[at.WANTED] = _goal(entry) * _ONE // pace


def _goal(entry: int) -> Any:
    if entry == 0:
        return _GOAL_CALL_NS
    return _GOAL_NS


def _worth(entry: int) -> Any:
    if entry == 0:
        return _WORTH_CALL_NS
    return _WORTH_NS


def claim(control: Any, own: Any, member: int) -> int:
    """Claim the next chunk, from BEGIN to END; return 0 if none is left."""
    count = 1
    if control[at.STATIC] != 0:
        number = member + own[at.TURN] * control[at.MEMBERS]
        own[at.TURN] += 1
    else:
        if control[at.ADAPTS] != 0:
            count = _count(control, own)
        # The atomic add claims: no other member gets these numbers. With a load and a
        # store, two members could work on the same grains.
        number = atomic.add(control, at.NEXT, count)
    if number >= control[at.CHUNKS]:
        return 0
    # Others have claimed since `_count` looked, so fewer may be left than it found.
    after = min(number + count, control[at.CHUNKS])
    own[at.CLAIMED] = after - number
    own[at.BEGIN] = _edge(control, number)
    own[at.END] = _edge(control, after)
    return 1


def _count(control: Any, own: Any) -> Any:
    """Return how many grains to claim, at least 1."""
    left = control[at.CHUNKS] - atomic.load(control, at.NEXT)
    share = left
    if control[at.MEMBERS] > 1:
        # If grains are equal, no member has more than half of a fair part at the end.
        share = left // (2 * control[at.MEMBERS])
    count = max(min(own[at.WANTED], share), own[at.LEAST])
    return max(min(count, left), 1)


def _edge(control: Any, number: int) -> Any:
    """Return the begin of a grain, the end of the one before: see `Chunking.edge`."""
    length = control[at.LENGTH]
    size = control[at.CHUNK]
    shift = control[at.SHIFT]
    if size > 0:
        return min(max(number * size - shift, 0), length)
    if number == control[at.CHUNKS]:
        return length
    return number * length // control[at.CHUNKS] // shift * shift


def measure(own: Any, entry: int, now: int) -> None:
    """Choose the size of the next chunk by the time that this one took."""
    grains = own[at.CLAIMED]
    took = max(min(now - own[at.BEGAN], _MOST_NS), 1)
    _find_constant(own, grains, took)
    constant = own[at.CONSTANT]
    wanted = 2 * grains
    if 8 * took <= _goal(entry):
        wanted = 8 * grains
    # Without a second chunk, nobody knows whether a long time is constant. So the next
    # one is twice as large, and shows it.
    if constant != _UNKNOWN:
        goal = max(_goal(entry), _CONSTANTS * constant)
        wanted = min(wanted, _as_many(grains, goal, took))
    worth = max(_worth(entry), 2 * constant)
    own[at.WANTED] = max(wanted, 1)
    own[at.LEAST] = min(wanted, _as_many(grains, worth, took))
    own[at.TAKEN] += grains
    own[at.LAST_GRAINS] = grains
    own[at.LAST_TOOK] = took


def _as_many(grains: int, goal: int, took: int) -> Any:
    """Return how many grains take the time `goal`, if `grains` took `took`."""
    return grains * min(goal * _ONE // took, 8 * _ONE) // _ONE


def _find_constant(own: Any, grains: int, took: int) -> None:
    """Find the time that a chunk takes in addition to its grains.

    Kernels may allocate memory in each chunk, and functions prepare something. If 1
    grain took 10 us and 8 grains took 17, then 9 us are constant. With 80, nothing is.
    """
    own[at.SHORTEST] = min(own[at.SHORTEST], took)
    few = own[at.LAST_GRAINS]
    fast = own[at.LAST_TOOK]
    many = grains
    slow = took
    if many < few:
        many = few
        slow = fast
        few = grains
        fast = took
    # Two chunks that took much longer than the constant time would show only noise.
    if few > 0 and 4 * many >= 5 * few and fast <= 8 * own[at.SHORTEST]:
        ratio = min(many * _FINE // few, _CONSTANTS * _FINE)
        found = (fast * ratio - slow * _FINE) // (ratio - _FINE)
        own[at.CONSTANT] = max(min(found, own[at.SHORTEST]), 0)


def hurry(control: Any, own: Any) -> int:
    """Return 1 if the workers should come, after all, to a run that seemed cheap.

    The caller rings no bell for a run that was cheap the time before, and does it
    alone, faster than a worker could come. But its first chunk is only a share: if that
    is not as cheap as expected, the workers help with the rest.
    """
    left = control[at.CHUNKS] - atomic.load(control, at.NEXT)
    took = own[at.LAST_TOOK]
    if took > _ALONE_NS or left * took > _ALONE_NS * own[at.LAST_GRAINS]:
        return 1
    own[at.LEAST] = max(left, 1)
    return 0


def is_cheap(control: Any) -> Any:
    """Return 1 if the run before was so fast that the caller needs no workers."""
    pace = atomic.load(control, at.PACE)
    # By a division, since the product might overflow.
    most = _ALONE_NS * _ONE // control[at.CHUNKS]
    return (pace > 0) * (pace <= most)


def note_pace(control: Any, own: Any, now: int) -> None:
    """Note the mean speed of this member's grains for the next run."""
    if own[at.TAKEN] > 0:
        passed = max(min(now - own[at.SINCE], _MOST_NS), 1)
        pace = passed * _ONE // own[at.TAKEN]
        atomic.store(control, at.PACE, max(pace, 1))
