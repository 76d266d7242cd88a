"""The steps of a run, as machine code for the caller and the workers.

`sharray.native.words` compiles these functions, and workers get them as machine code.
They return to Python only if Python is needed. The words, the states of the gate and
the bell, and the invariants are in `sharray.team.control.layout`.

::

      caller, `lead`                             worker, `serve`
      write the words of the run
      `_open`: reset members, NEXT, CANCEL
      open the gate
      `_ring`                        ------->    `_hear`: spin, then sleep
      `_take_chunks`                             `_join`: count in the gate
      `_finish`: close the gate                  `_take_chunks`
      `_wait_for_workers`                        `_finish`: close the gate
      (spin, then sleep)             <-------    `_leave`: the last one wakes
      run is over                                `_hear`

Both sides spin for a while before they sleep, so that a run starts within a
microsecond.
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
from .claims import begin, claim, hurry, is_cheap, measure, note_pace

_SLICE_NS = 50_000_000  # interval at which the caller checks for signals and deaths
_ALONE_NS = 2_000
_MOVE_INTERVAL_NS = 10_000_000


def _ring(control: Any, run: int) -> None:
    """Wake all workers."""
    # The store first. A worker that is about to sleep counts itself, and then reads
    # the bell: either it sees this number, or this sees it in SLEEPERS. In the other
    # order, neither might see the other, and the worker would sleep through the run.
    atomic.store(control, at.BELL, run)
    if atomic.load(control, at.SLEEPERS) > 0:
        futex_wake(control, at.BELL, at.EVERYBODY)


def _hear(control: Any, own: Any, mine: int) -> int:
    """Wait until BELL changes, and remember its number.

    Return 1 early if the worker should move, since it runs on the caller's core.
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
    # This may be a later number than the one that ended the loop. The caller rings for
    # the next run only when a run is over, so the worker misses nothing.
    own[at.LAST] = atomic.load(control, at.BELL)
    return 0


def _is_crowded(control: Any, own: Any, now: int) -> Any:
    """Return whether the worker is on the caller's core, and has not just moved."""
    same = current_core() == control[at.CALLER_CORE]
    rested = now > own[at.MOVED] + _MOVE_INTERVAL_NS
    return same * rested


def _linger(began: int) -> None:
    """Pause for a moment in a wait that should be short."""
    pause()
    # The other process may be on this core, where the scheduler leaves it as long as
    # this one seems busy. Without the yield, a run would take 60 us instead of 4.
    if now_ns() > began + _ALONE_NS:
        give_way()


def _sleep(control: Any, mine: int, last: int) -> None:
    """Sleep until the bell rings."""
    # ASLEEP is only set while the worker counts in SLEEPERS. A worker that is killed
    # between the two counts for ever, which costs each run a system call. In the other
    # order, the caller would subtract a 1 that was never added. SLEEPERS would be too
    # low, and another worker would never be woken.
    atomic.add(control, at.SLEEPERS, 1)
    control[mine + at.ASLEEP] = 1
    futex_wait(control, at.BELL, last, FOREVER)
    control[mine + at.ASLEEP] = 0
    atomic.sub(control, at.SLEEPERS, 1)


def _join(control: Any, mine: int, run: int) -> bool:
    """Go through the gate if it is open."""
    # INSIDE first, so that the caller notices a death right after the count. In the
    # other order, the count would stay above 0, no dead worker would seem to be inside,
    # and the caller would wait for ever.
    atomic.store(control, mine + at.INSIDE, run)
    gate = atomic.load(control, at.GATE)
    # Compare the number and the bit with the count, in one step. A worker that heard
    # the bell of an earlier run finds another number here and stays outside. It does
    # not count in a run whose number is not in its INSIDE.
    while gate >> 32 == run and gate & at.CLOSED == 0:
        gate, joined = atomic.compare_exchange(control, at.GATE, gate, gate + 1)
        if joined:
            return True
    atomic.store(control, mine + at.INSIDE, 0)
    return False


def _finish(control: Any) -> None:
    """Close the gate for late members, when no chunk is left for them."""
    last = True
    # In a static run, nobody else takes the chunks of a late member. If the first
    # member to finish closed the gate, they would stay undone.
    if control[at.STATIC] != 0:
        last = atomic.add(control, at.NEXT, 1) + 1 >= control[at.MEMBERS]
    if last:
        atomic.or_(control, at.GATE, at.CLOSED)


def _leave(control: Any, mine: int) -> None:
    """Leave the gate; the last worker wakes the caller."""
    # The count first, then INSIDE. In the other order, a worker that is killed between
    # the two would count without being inside, and the caller would wait for ever.
    gate = atomic.sub(control, at.GATE, 1)
    atomic.store(control, mine + at.INSIDE, 0)
    if gate & (at.CLOSED | at.COUNT) == at.CLOSED | 1:
        # FINISHED first, then the wake. A caller that is about to sleep has read the
        # old FINISHED, so futex(2) finds another value and does not sleep. In the other
        # order, it could fall asleep between the two, and wake up 50 ms late.
        atomic.add(control, at.FINISHED, 1)
        if atomic.load(control, at.CALLER_SLEEPS) != 0:
            futex_wake(control, at.FINISHED, 1)


def _take_chunks(
    control: Any,
    own: Any,
    bases: Any,
    entry: int,
    member: int,
    now: int,
    until: int,
) -> int:
    """Work until no chunk is left, a chunk raises, or the time is over.

    Without an entry, the chunks are calls of a Python function: return CALL for each,
    and go on when Python has called it and put 0 or 1 in STATUS.
    """
    mine = at.member(member)
    slots = address_of(control, at.slots_start(control[at.MEMBERS]))
    out = address_of(control, mine + at.OUTCOME)
    if own[at.CALLING] != 0:
        own[at.CALLING] = 0
        if _note_end(control, own, mine, entry, now) != 0:
            return at.KERNEL_RAISED
    while atomic.load(control, at.CANCEL) == 0:
        if until != FOREVER and now > until:
            return at.PAUSED
        if claim(control, own, member) == 0:
            if member == 0:
                note_pace(control, own, now)
            break
        # Before the call, so that an error or a death names its chunk. A member that
        # is killed between the two stores leaves an end before the begin, which names
        # none. In the other order, it would name chunks of others, too.
        control[mine + at.CURRENT] = own[at.BEGIN]
        atomic.store(control, mine + at.CURRENT_END, own[at.END])
        own[at.BEGAN] = now
        if entry == 0:
            own[at.CALLING] = 1
            return at.CALL
        own[at.STATUS] = call_entry(
            entry,
            slots,
            address_of(bases, 0),
            own[at.BEGIN],
            own[at.END],
            out,
            address_of(own, at.ERROR),
        )
        now = now_ns()
        if _note_end(control, own, mine, entry, now) != 0:
            return at.KERNEL_RAISED
    return at.FINISHED_RUN


def _note_end(control: Any, own: Any, mine: int, entry: int, now: int) -> int:
    """Note that a chunk is done; return 1 if it raised."""
    if own[at.STATUS] != 0:
        # RAISED first: a caller that finds CANCEL asks each worker with RAISED for
        # its error.
        control[mine + at.RAISED] = 1
        atomic.store(control, at.CANCEL, 1)
        return 1
    control[mine + at.DONE] += own[at.END] - own[at.BEGIN]
    if control[at.ADAPTS] != 0:
        measure(own, entry, now)
        if own[at.QUIET] != 0 and hurry(control, own) != 0:
            own[at.QUIET] = 0
            _ring(control, own[at.RUN])
    return 0


def serve(control: Any, own: Any, bases: Any, programs: Any) -> int:
    """Serve runs in a worker until Python is needed; return why."""
    member = own[at.MEMBER]
    mine = at.member(member)
    while True:
        if own[at.CALLING] != 0:
            now = now_ns()
            reason = _take_chunks(control, own, bases, 0, member, now, FOREVER)
            if reason == at.FINISHED_RUN:
                return at.CALLED_ALL
            return reason
        # Leave here, and not right after the chunks. If a chunk has raised, or the
        # calls have a value, Python sends that first, and calls `serve` again. So the
        # caller finds the message when it finds the run over.
        if own[at.TO_LEAVE] != 0:
            own[at.TO_LEAVE] = 0
            _finish(control)
            _leave(control, mine)
        # Before `_hear`: after two commands, the worker may have heard one new number
        # only, and would wait for another while the team waits for its answer.
        if atomic.load(control, at.STOP) != 0:
            return at.STOPPED
        if atomic.load(control, at.COMMANDS) != own[at.SEEN]:
            return at.COMMANDED
        if _hear(control, own, mine) != 0:
            return at.CROWDED
        if atomic.load(control, at.COMMANDS) != own[at.SEEN]:
            # The team rang for a command, and maybe for a run since then. Read the
            # message first. Then LAST of 0 makes `_hear` return the same number again;
            # otherwise the worker would miss that run.
            own[at.LAST] = 0
        elif _join(control, mine, own[at.LAST]):
            # From here on the words of the run do not change until this worker leaves.
            own[at.TO_LEAVE] = 1
            entry = programs[control[at.PROGRAM]]
            now = now_ns()
            begin(control, own, entry, now)
            reason = _take_chunks(control, own, bases, entry, member, now, FOREVER)
            if reason != at.FINISHED_RUN:
                return reason


def lead(control: Any, own: Any, bases: Any) -> int:
    """Lead a run in the caller until it is over or Python is needed; return why."""
    now = now_ns()
    until = now + _SLICE_NS
    if own[at.PHASE] == at.OPENING:
        begin(control, own, own[at.ENTRY], now)
        _open(control, own)
        own[at.CALLING] = 0  # 1 after a call that was interrupted
        own[at.PHASE] = at.WORKING
        if own[at.QUIET] == 0:
            now = now_ns()  # the time to wake workers is not that of the first chunk
    if own[at.PHASE] == at.WORKING:
        reason = at.FINISHED_RUN
        if own[at.TAKES_PART] != 0:
            reason = _take_chunks(control, own, bases, own[at.ENTRY], 0, now, until)
            if reason == at.PAUSED:
                return reason
            if reason == at.CALL:
                return reason
            _finish(control)
        own[at.PHASE] = at.WAITING
        if reason == at.KERNEL_RAISED:
            return reason
    return _wait_for_workers(control, own, until)


def _open(control: Any, own: Any) -> None:
    """Open the gate for a run, and ring the bell."""
    own[at.QUIET] = 0
    number = 0
    while number < control[at.MEMBERS]:
        mine = at.member(number)
        control[mine + at.CURRENT] = -1
        control[mine + at.CURRENT_END] = -1
        control[mine + at.DONE] = 0
        control[mine + at.RAISED] = 0
        control[mine + at.OUTCOME] = 0
        number += 1
    atomic.store(control, at.NEXT, own[at.FIRST])
    atomic.store(control, at.CANCEL, 0)
    # A caller that only waits leaves its core to a worker.
    control[at.CALLER_CORE] = -1
    if own[at.TAKES_PART] != 0:
        control[at.CALLER_CORE] = current_core()
    # After all words of the run: a worker that joins reads them. Before the bell: a
    # worker that wakes up and finds the gate closed sleeps until the next run.
    atomic.store(control, at.GATE, own[at.RUN] << 32)
    if control[at.STATIC] == 0 and own[at.TAKES_PART] != 0:
        # No bell if the caller is done before a worker wakes up: see `claims.hurry`.
        if control[at.CHUNKS] == 1:
            return
        if control[at.ADAPTS] != 0 and is_cheap(control) != 0:
            own[at.QUIET] = 1
            return
    _ring(control, own[at.RUN])


def _wait_for_workers(control: Any, own: Any, until: int) -> int:
    if atomic.load(control, at.GATE) & (at.CLOSED | at.COUNT) == at.CLOSED:
        return at.FINISHED_RUN
    began = now_ns()
    look_until = min(began + own[at.SPIN_NS], until)
    while atomic.load(control, at.GATE) & (at.CLOSED | at.COUNT) != at.CLOSED:
        now = now_ns()
        if now < look_until:
            _linger(began)
        elif now < until:
            # CALLER_SLEEPS, then FINISHED, then the gate. A worker that leaves after
            # this load of the gate changes FINISHED after it was read here, and sees
            # CALLER_SLEEPS. So futex(2) does not sleep, or the worker wakes it. If
            # FINISHED was read after the gate, a worker could leave between the two,
            # and the caller would sleep for up to 50 ms.
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
    """Return the machine code of `serve`, for workers, with `lead` as its merge.

    They call the same functions, so both together take little longer than one.
    """
    return compile_words(serve, lead)


@functools.cache
def lead_here() -> Callable[..., int]:
    """Return `lead` as machine code, to call with addresses."""
    _, address = load(serve_code())
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 3)(address)
