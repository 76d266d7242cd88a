"""How a team works together: machine code in the caller and in each worker.

These functions are compiled by `sharray.native.words`, and workers get them as
machine code. They return to Python only for what needs it. The caller opens a run,
takes chunks like everybody else, and waits for the workers that are still inside; a
worker sleeps until the bell rings, joins, takes chunks, and leaves. Both look for a
while before they go to sleep, which is what makes a run start within a microsecond.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from ...native import atomic
from ...native.calling import address_of, call_entry
from ...native.machine_code import MachineCode, load
from ...native.waiting import (
    FOREVER,
    current_core,
    futex_wait,
    futex_wake,
    give_way,
    now_ns,
    pause,
)
from ...native.words import compile_words
from . import layout as at

_SLICE_NS = 50_000_000  # so often the caller looks for signals and deaths
_ALONE_NS = 2_000
_MOVE_INTERVAL_NS = 10_000_000


def _ring(control: Any, run: int) -> None:
    """Wake all workers."""
    # The store first. A worker that is about to sleep counts itself, and then looks at
    # the bell: either it sees this number, or we see it in SLEEPERS.
    atomic.store(control, at.BELL, run)
    if atomic.load(control, at.SLEEPERS) > 0:
        futex_wake(control, at.BELL, at.EVERYBODY)


def _hear(control: Any, own: Any, mine: int) -> int:
    """Wait until the bell says something new, and remember that.

    Returns whether the worker is on the caller's core instead, and should move.
    """
    last = own[at.LAST]
    began = now_ns()
    while atomic.load(control, at.BELL) == last:
        now = now_ns()
        if now >= began + own[at.SPIN_NS]:
            _sleep(control, mine, last)
        elif now > began + _ALONE_NS and _is_crowded(control, own, now):
            own[at.MOVED] = now
            return 1
        else:
            _linger(began)
    own[at.LAST] = atomic.load(control, at.BELL)
    return 0


def _is_crowded(control: Any, own: Any, now: int) -> Any:
    """Whether the worker waits on the core of the caller, and has not just moved."""
    same = current_core() == control[at.CALLER_CORE]
    rested = now > own[at.MOVED] + _MOVE_INTERVAL_NS
    return same * rested


def _linger(began: int) -> None:
    """Pass a moment of a wait that is expected to be short."""
    pause()
    # The one that is waited for may be on this very core, and the scheduler leaves it
    # there as long as this one seems to work: 60 us for each run instead of 4.
    if now_ns() > began + _ALONE_NS:
        give_way()


def _sleep(control: Any, mine: int, last: int) -> None:
    """Sleep until the bell rings."""
    # Counted before ASLEEP and until after it. A worker killed in between counts for
    # ever, which costs a system call for each run. The other way round, the caller
    # takes back what was never added: SLEEPERS is too low, and somebody is never woken.
    atomic.add(control, at.SLEEPERS, 1)
    control[mine + at.ASLEEP] = 1
    futex_wait(control, at.BELL, last, FOREVER)
    control[mine + at.ASLEEP] = 0
    atomic.sub(control, at.SLEEPERS, 1)


def _join(control: Any, mine: int, run: int) -> bool:
    """Go through the gate if it is open."""
    # First, so that a death right behind the gate is noticed. Without it, the count
    # stays above 0, no dead worker seems to be inside, and the caller waits for ever.
    atomic.store(control, mine + at.INSIDE, run)
    gate = atomic.load(control, at.GATE)
    # Compared as a whole. A worker that was asleep for a run sees the number of another
    # one here, and must not be counted there: it has not read that run's words.
    while gate >> 32 == run and gate & at.CLOSED == 0:
        gate, joined = atomic.compare_exchange(control, at.GATE, gate, gate + 1)
        if joined:
            return True
    atomic.store(control, mine + at.INSIDE, 0)
    return False


def _finish(control: Any) -> None:
    """A member has no more chunks to do: nobody needs to join any more."""
    last = True
    # In a static run the chunks of a late member are nobody else's. Closed by the first
    # that is done, the gate would keep it out, and they would stay undone.
    if control[at.STATIC] != 0:
        last = atomic.add(control, at.NEXT, 1) + 1 >= control[at.MEMBERS]
    if last:
        atomic.or_(control, at.GATE, at.CLOSED)


def _leave(control: Any, mine: int) -> None:
    """Go out through the gate; the last one wakes the caller."""
    # Not counted first, then not inside. Killed in between in the other order, it
    # counts and is nowhere: the caller waits for ever.
    gate = atomic.sub(control, at.GATE, 1)
    atomic.store(control, mine + at.INSIDE, 0)
    if gate & (at.CLOSED | at.COUNT) == at.CLOSED | 1:
        # Before the look at CALLER_SLEEPS: a caller that is about to sleep finds
        # another FINISHED than it has read, and does not.
        atomic.add(control, at.FINISHED, 1)
        if atomic.load(control, at.CALLER_SLEEPS) != 0:
            futex_wake(control, at.FINISHED, 1)


def _edge(control: Any, number: int) -> Any:
    """Where a chunk begins, and the one before ends: see `Chunking.edge`."""
    length = control[at.LENGTH]
    size = control[at.CHUNK]
    shift = control[at.SHIFT]
    if size > 0:
        return min(max(number * size - shift, 0), length)
    if number == control[at.CHUNKS]:
        return length
    return number * length // control[at.CHUNKS] // shift * shift


def _take_chunks(
    control: Any, own: Any, bases: Any, entry: int, member: int, until: int
) -> int:
    """Work until there is nothing left, the kernel raises, or the time is over."""
    mine = at.member(member)
    members = control[at.MEMBERS]
    slots = address_of(control, at.slots_start(members))
    out = address_of(control, mine + at.OUTCOME)
    while atomic.load(control, at.CANCEL) == 0:
        if until != FOREVER and now_ns() > until:
            return at.PAUSED
        if control[at.STATIC] != 0:
            number = member + control[mine + at.DONE] * members
        else:
            # Adding makes the chunk ours. Numbers beyond the last are nobody's.
            number = atomic.add(control, at.NEXT, 1)
        if number >= control[at.CHUNKS]:
            break
        # Before the call, so that an error or a death can be put down to a chunk.
        control[mine + at.CURRENT] = number
        own[at.STATUS] = call_entry(
            entry,
            slots,
            address_of(bases, 0),
            _edge(control, number),
            _edge(control, number + 1),
            out,
            address_of(own, at.ERROR),
        )
        if own[at.STATUS] != 0:
            # RAISED first: whoever finds CANCEL asks who has raised.
            control[mine + at.RAISED] = 1
            atomic.store(control, at.CANCEL, 1)
            return at.KERNEL_RAISED
        control[mine + at.DONE] += 1
    return at.FINISHED_RUN


def serve(control: Any, own: Any, bases: Any, programs: Any) -> int:
    """What a worker does until it is needed in Python; returns why."""
    member = own[at.MEMBER]
    mine = at.member(member)
    while True:
        # Here, and not behind the chunks: a kernel that has raised gets back to Python
        # first, which sends what it raised. A caller that finds the run over before
        # that would look for a message that is not there.
        if own[at.TO_LEAVE] != 0:
            own[at.TO_LEAVE] = 0
            _finish(control)
            _leave(control, mine)
        # Before listening: two commands may have come with one sound of the bell.
        if atomic.load(control, at.STOP) != 0:
            return at.STOPPED
        if atomic.load(control, at.COMMANDS) != own[at.SEEN]:
            return at.COMMANDED
        if _hear(control, own, mine) != 0:
            return at.CROWDED
        if atomic.load(control, at.COMMANDS) != own[at.SEEN]:
            # A message comes before the run that was opened after it, which is still
            # to be heard then.
            own[at.LAST] = 0
        elif _join(control, mine, own[at.LAST]):
            # From here on the words of the run stay as they are until we leave.
            own[at.TO_LEAVE] = 1
            entry = programs[control[at.PROGRAM]]
            reason = _take_chunks(control, own, bases, entry, member, FOREVER)
            if reason == at.KERNEL_RAISED:
                return reason


def lead(control: Any, own: Any, bases: Any) -> int:
    """What the caller does in a run, until it is over or needed in Python."""
    until = now_ns() + _SLICE_NS
    if own[at.PHASE] == at.OPENING:
        _open(control, own)
        own[at.PHASE] = at.WORKING
    if own[at.PHASE] == at.WORKING:
        reason = at.FINISHED_RUN
        if own[at.TAKES_PART] != 0:
            reason = _take_chunks(control, own, bases, own[at.ENTRY], 0, until)
            if reason == at.PAUSED:
                return reason
            _finish(control)
        own[at.PHASE] = at.WAITING
        if reason == at.KERNEL_RAISED:
            return reason
    return _wait_for_workers(control, own, until)


def _open(control: Any, own: Any) -> None:
    """Open the gate for a run, and ring the bell."""
    number = 0
    while number < control[at.MEMBERS]:
        mine = at.member(number)
        control[mine + at.CURRENT] = -1
        control[mine + at.DONE] = 0
        control[mine + at.RAISED] = 0
        control[mine + at.OUTCOME] = 0
        number += 1
    atomic.store(control, at.NEXT, 0)
    atomic.store(control, at.CANCEL, 0)
    control[at.CALLER_CORE] = current_core()
    # Behind all of the words above: whoever joins reads them. Before the bell: a worker
    # that is woken and finds the gate closed sleeps until the next run.
    atomic.store(control, at.GATE, own[at.RUN] << 32)
    # The caller does a single chunk before anybody else is awake.
    if control[at.CHUNKS] > 1 or control[at.STATIC] != 0 or own[at.TAKES_PART] == 0:
        _ring(control, own[at.RUN])


def _wait_for_workers(control: Any, own: Any, until: int) -> int:
    began = now_ns()
    look_until = min(began + own[at.SPIN_NS], until)
    while atomic.load(control, at.GATE) & (at.CLOSED | at.COUNT) != at.CLOSED:
        now = now_ns()
        if now < look_until:
            _linger(began)
        elif now < until:
            # In this order. A worker that leaves after the look at the gate sees that
            # we sleep, and changes FINISHED after we have read it.
            atomic.store(control, at.CALLER_SLEEPS, 1)
            finished = atomic.load(control, at.FINISHED)
            if atomic.load(control, at.GATE) & (at.CLOSED | at.COUNT) != at.CLOSED:
                futex_wait(control, at.FINISHED, finished, until - now)
            atomic.store(control, at.CALLER_SLEEPS, 0)
        else:
            return at.PAUSED
    return at.FINISHED_RUN


# -- compiling ---------------------------------------------------------------


@functools.cache
def serve_code() -> MachineCode:
    """`serve`, as workers get it."""
    return compile_words(serve)


@functools.cache
def lead_here() -> Callable[..., int]:
    """`lead`, to be called with addresses."""
    address, _ = load(compile_words(lead))
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 3)(address)
