"""The outbox: the files in which this process sends messages, kept to be used again.

See `sharray.storage.message_states` for who may do what when.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from ...errors import explain
from ...system import clock, file_systems, forks, interrupts, open_channels
from .. import dtypes, ending, location, making, new_header
from .. import message_states as message
from ..new_file import Blocks
from .outgoing import Outgoing, no_room
from .returning import Returning

_IDLE_SECONDS = 60.0
# With so many under way, what is small goes through the pipe, which has room for it.
_MANY = 16
_SMALL = 32 << 10
_LOOK_INTERVAL = 5.0
# Looking for pipes takes longer, the more processes there are.
_PART_OF_TIME = 100
_PART_OF_FREE_MEMORY = 4

MakeContents = Callable[[], Blocks | None]

_outgoing: list[Outgoing] = []
# Reentrant: garbage collection may run a __del__ that sends something.
_choosing = threading.RLock()
_is_choosing = False
_next_look_for_pipes = 0.0


def take(
    nbytes: int, budget: int | None, contents: MakeContents | None = None
) -> Outgoing | None:
    """Return a file of this process with room for a message; None: use the pipe.

    It never waits: a sender that waited for a receiver could wait for itself. Call it
    in `interrupts.deferred`, and send or recall the file there.

    Parameters
    ----------
    nbytes : int
        How much is to be sent.
    budget : int, optional
        Bytes that all files of this process may take; a quarter of the free memory
        without.
    contents : callable, optional
        Returns the data in blocks, or None to have it copied later. A new file gets it
        at once, which is faster than a copy through a fresh mapping; see
        `Outgoing.has_contents`.

    Raises
    ------
    NoSpaceError
        The budget is used up by messages that nobody has received or let go of, or
        there is no memory.
    """
    with _choosing:
        return _take_now(nbytes, budget, contents)


def _take_now(
    nbytes: int, budget: int | None, contents: MakeContents | None
) -> Outgoing | None:
    global _is_choosing
    # The lock lets the same thread in again, in the middle of a choice. It would choose
    # a file twice that is chosen, but not claimed yet.
    if _is_choosing:
        raise no_room("a signal handler or __del__ interrupted a message")
    _is_choosing = True
    try:
        now = clock.monotonic()
        _close_idle(now)
        best = _best_free(nbytes)
        if best is None and sum(map(Outgoing.is_in_flight, _outgoing)) >= _MANY:
            _recall_lost(now)
            best = _best_free(nbytes)
            if best is None and nbytes <= _SMALL:
                return None
        if best is None:
            return _create(nbytes, budget, contents)
        best.claim()
        return best
    finally:
        _is_choosing = False


def _recall_lost(now: float) -> None:
    """Have back what was in pipes that are gone: of terminated pools, dropped queues.

    That takes milliseconds, so that it is asked once in a while only.
    """
    global _next_look_for_pipes
    if now < _next_look_for_pipes:
        return
    _recall_all_lost()
    took = clock.monotonic() - now
    _next_look_for_pipes = now + max(_LOOK_INTERVAL, _PART_OF_TIME * took)


def _recall_all_lost() -> None:
    found = open_channels.find()
    for outgoing in _outgoing:
        if outgoing.is_in_closed_channel(found):
            outgoing.recall_lost()


def recall(outgoing: Outgoing, generation: int) -> None:
    """Free a file whose message could not leave, unless it has another by now.

    Its pipe is broken, so another thread may have recalled it by `_recall_lost`, and
    claimed it for a message of its own. FREE would then let a third one write into
    that message.
    """
    with interrupts.deferred(), _choosing:
        if outgoing.generation == generation:
            outgoing.recall()


def trim() -> None:
    """Give back what is kept for the next message."""
    with interrupts.deferred(), _choosing:
        if _outgoing:
            _recall_all_lost()
        for outgoing in _free():
            _close(outgoing)


def _free() -> list[Outgoing]:
    """Return the files that nobody needs, the one longest unused first."""
    found = [outgoing for outgoing in _outgoing if outgoing.is_free()]
    return sorted(found, key=lambda outgoing: outgoing.used)


def _close(outgoing: Outgoing) -> None:
    _outgoing.remove(outgoing)
    outgoing.close()


def _close_idle(now: float) -> None:
    for outgoing in list(_outgoing):
        if now - outgoing.used > _IDLE_SECONDS and outgoing.is_free():
            _close(outgoing)


def _best_free(nbytes: int) -> Outgoing | None:
    """Return the smallest free file that has room, but not far too much of it."""
    most = 2 * nbytes + (1 << 20)
    best = None
    for outgoing in list(_outgoing):
        if not nbytes <= outgoing.capacity <= most or not outgoing.is_free():
            continue
        # A receiver that forked or ended has removed its name: nobody could open it.
        if outgoing.is_lost():
            _close(outgoing)
        elif best is None or outgoing.capacity < best.capacity:
            best = outgoing
    return best


def _create(
    nbytes: int, budget: int | None, contents: MakeContents | None
) -> Outgoing | None:
    capacity = _capacity_for(nbytes)
    if budget is not None and capacity > budget >= nbytes:
        capacity = nbytes
    if not _make_room(capacity, budget):
        return None
    new = new_header.encode(dtypes.spelled("|u1"), (capacity,), False, pages=True)
    # A receiver opens it by its name, so it gets one at once. Killed before it is the
    # owner, this process leaves a file that anybody sweeps.
    blocks = None if contents is None else contents()
    segment = making.create_anonymous(new, blocks, unnamed_so_far=0)
    outgoing = None
    try:
        segment.publish()
        outgoing = Outgoing(segment, has_contents=blocks is not None)
        ending.keep(segment, None)
        ending.sweep_if_due(os.path.dirname(segment.path))
    except BaseException as error:
        if outgoing is not None:
            outgoing.close()
        else:
            segment.release()
        if isinstance(error, OSError):
            raise explain(error, "use for messages", segment.path) from error
        raise
    _outgoing.append(outgoing)
    return outgoing


def _capacity_for(nbytes: int) -> int:
    """Somewhat more than is needed, so that the next message fits as well."""
    step = max(1 << 18, 1 << max(0, nbytes.bit_length() - 3))
    return -(-nbytes // step) * step


def _make_room(capacity: int, budget: int | None) -> bool:
    """Close files that are free until another one may be made; False: too many."""
    from ...system import limits  # 2 ms that only messages need

    directory = os.path.dirname(location.ram_directory())
    try:
        free = file_systems.free_bytes(directory)
    except OSError as error:
        raise explain(error, "use for messages", directory) from error
    free = min(free, limits.available_memory() or free)
    taken = sum(outgoing.capacity for outgoing in _outgoing)
    if budget is None:
        budget = (free + taken) // _PART_OF_FREE_MEMORY
    if capacity > budget:
        raise no_room(f"it takes {capacity} bytes of the {budget} that are allowed")
    for outgoing in _free():
        if len(_outgoing) < message.most_files() and taken + capacity <= budget:
            break
        taken -= outgoing.capacity
        free += outgoing.capacity
        _close(outgoing)
    if len(_outgoing) >= message.most_files():
        return False
    if taken + capacity > budget:
        raise no_room(
            f"messages under way and arrays in use take {taken} of the {budget} bytes "
            "that are allowed"
        )
    if capacity > free:
        raise no_room(f"{free} bytes of memory are free in {directory!r}")
    return True


def _close_all() -> None:
    with interrupts.deferred(), _choosing:
        while _outgoing:
            outgoing = _outgoing.pop()
            with suppress(OSError):
                # Daemon threads go on: one may be writing to it, or about to send it.
                if outgoing.is_being_written():
                    outgoing.abandon()
                elif outgoing.has_no_channel():
                    outgoing.leave()
                else:
                    outgoing.close()


def _before_fork() -> None:
    _choosing.acquire()


def _after_fork_in_parent() -> None:
    _choosing.release()


def _after_fork_in_child() -> None:
    global _choosing, _is_choosing
    # The files are the parent's. Two owners would write different messages into one.
    _choosing = threading.RLock()
    _is_choosing = False
    while _outgoing:
        _outgoing.pop().drop_in_child()


Returning.trim = trim
ending.at_end(_close_all)
forks.at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
