"""The outbox: the files in which this process sends messages, kept to be used again.

See `sharray.storage.message` for who may do what when.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

from ..errors import NoSpaceError, StorageError, explain
from ..system import files, locks, memory, processes
from . import ending, header, location, making, message, trailer
from .segment import Segment

# Each needs two descriptors and a mapping. More than this many messages under way
# are a queue that is not read, and then it is right that the sender is held up.
_MOST = 64
_PART_OF_DESCRIPTORS = 8
_IDLE_SECONDS = 60.0
# With so many under way, a file that comes back soon is better than a fresh one.
_MANY = 16
_PATIENCE = 0.1
_LONGEST_PAUSE = 0.005
_LOOK_INTERVAL = 5.0
_PART_OF_FREE_MEMORY = 4


class Outgoing:
    """One file of this process for messages.

    Attributes
    ----------
    capacity : int
        Bytes of data that it has room for.
    """

    __slots__ = (
        "_fd",
        "_lock_offset",
        "_pipe",
        "_token",
        "capacity",
        "segment",
        "used",
    )

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.capacity = segment.header.nbytes
        self.used = time.monotonic()
        self._lock_offset = message.lock_offset(segment)
        self._pipe = self._token = 0
        # Not the one of the mapping: whether others have locked a byte can be asked
        # through another open file only.
        self._fd = files.open_existing(segment.path, writable=True, follow=False)
        segment.words[trailer.STATE_WORD] = message.WRITING
        segment.words[trailer.OWNER_WORD] = processes.own_and_parent_identity()[0]

    @property
    def generation(self) -> int:
        """Which use of the file this is."""
        return self.segment.words[trailer.GENERATION_WORD]

    def is_free(self) -> bool:
        """Whether nobody needs the data of the last message any more."""
        return self._is_returned() or self._is_abandoned()

    def _is_returned(self) -> bool:
        return self.segment.words[trailer.STATE_WORD] == message.FREE

    def _is_abandoned(self) -> bool:
        """Whether the receiver is gone without a word."""
        held = self.segment.words[trailer.STATE_WORD] == message.HELD
        return held and not locks.is_byte_locked(self._fd, self._lock_offset)

    def is_lost(self) -> bool:
        """Whether it is free, but no receiver would find it.

        One that made the data its own has removed the name, and never says ``FREE``.
        """
        return self._is_abandoned() and files.status(self._fd).st_nlink == 0

    def claim(self) -> None:
        """Begin the next use of a file that is free."""
        words = self.segment.words
        words[trailer.STATE_WORD] = message.WRITING
        words[trailer.GENERATION_WORD] = (self.generation + 1) % (1 << 64)
        self._pipe = self._token = 0

    def send(self, *, to_strangers: bool = False) -> int:
        """The data is complete, the message may leave; returns its token."""
        self._token = self.segment.record_sent(to_strangers=to_strangers)
        self.segment.words[trailer.STATE_WORD] = message.IN_FLIGHT
        return self._token

    def recall(self) -> None:
        """The message could not be sent, or not even be written."""
        self.used = time.monotonic()
        self.segment.record_received(self._token)
        self.segment.words[trailer.STATE_WORD] = message.FREE

    def note_pipe(self, fd: int) -> None:
        """The message goes through this pipe; remember which one that is."""
        status = files.status(fd)
        self._pipe = status.st_ino if files.is_pipe(status) else 0

    def is_in_flight(self) -> bool:
        """Whether the message has not been received yet."""
        return self.segment.words[trailer.STATE_WORD] == message.IN_FLIGHT

    def is_lost_in(self, pipes: set[int]) -> bool:
        """Whether the message is under way, but in none of these pipes.

        Parameters
        ----------
        pipes : set of int
            Inode numbers of all that somebody has open.
        """
        return bool(self._pipe) and self._pipe not in pipes and self.is_in_flight()

    def close(self) -> None:
        """Use it no more.

        The memory of a file that is free goes back at once, although receivers may
        keep it mapped until they notice.
        """
        words = self.segment.words
        words[trailer.OWNER_WORD] = 0
        if self.is_free():
            words[trailer.STATE_WORD] = message.RETIRED
            first, end = self.segment.data_range
            with suppress(OSError):
                memory.discard(self.segment.mapping, first, end - first)
        files.close(self._fd)
        ending.release(self.segment)

    def drop_in_child(self) -> None:
        """Unmap what a fork has inherited; it is the parent's."""
        files.close(self._fd)
        ending.forget(self.segment)
        self.segment.unmap()


_outgoing: list[Outgoing] = []
# Reentrant: garbage collection may run a __del__ that sends something.
_choosing = threading.RLock()
_is_choosing = False
_looked_for_pipes = -_LOOK_INTERVAL


def take(nbytes: int, budget: int | None) -> Outgoing:
    """A file with room for `nbytes` that is ours to write.

    Parameters
    ----------
    nbytes : int
        How much is to be sent.
    budget : int, optional
        Bytes that all files of this process may take; a quarter of the free memory
        without.

    Raises
    ------
    NoSpaceError
        The budget is used up by messages that nobody has received or let go of, or
        there is no memory.
    """
    deadline = time.monotonic() + _PATIENCE
    pause = 0.0005
    while True:
        with _choosing:
            found = _take_now(nbytes, budget, patient=time.monotonic() < deadline)
        if found is not None:
            return found
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _take_now(nbytes: int, budget: int | None, *, patient: bool) -> Outgoing | None:
    """As `take`; None if that would use more memory than waiting a little would."""
    global _is_choosing
    if _is_choosing:
        raise _no_room("a signal handler or __del__ interrupted a message")
    _is_choosing = True
    try:
        now = time.monotonic()
        _close_idle(now)
        best = _best_free(nbytes)
        in_flight = sum(outgoing.is_in_flight() for outgoing in _outgoing)
        if best is None and in_flight >= _MANY:
            if patient:
                return None
            _recall_lost(now)
            best = _best_free(nbytes)
        if best is None:
            return _create(nbytes, budget)
        best.claim()
        best.used = now
        return best
    finally:
        _is_choosing = False


def _recall_lost(now: float) -> None:
    """Have back what was in pipes that are gone: of terminated pools, dropped queues.

    That takes milliseconds, so that it is asked once in a while only.
    """
    global _looked_for_pipes
    if now < _looked_for_pipes + _LOOK_INTERVAL:
        return
    _looked_for_pipes = now
    pipes = processes.pipes_in_use()
    for outgoing in _outgoing:
        if outgoing.is_lost_in(pipes):
            outgoing.recall()


def trim() -> None:
    """Give back what is kept for the next message."""
    with _choosing:
        for outgoing in _free():
            _close(outgoing)


def _free() -> list[Outgoing]:
    """Those that nobody needs, the one longest unused first."""
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
    """The smallest that is free and has room, but not far too much of it."""
    most = 2 * nbytes + (1 << 20)
    best = None
    for outgoing in list(_outgoing):
        if not nbytes <= outgoing.capacity <= most or not outgoing.is_free():
            continue
        if outgoing.is_lost():
            _close(outgoing)
        elif best is None or outgoing.capacity < best.capacity:
            best = outgoing
    return best


def _create(nbytes: int, budget: int | None) -> Outgoing:
    capacity = _capacity_for(nbytes)
    if budget is not None and capacity > budget >= nbytes:
        capacity = nbytes
    _make_room(capacity, budget)
    block = header.encode(header.scalar_dtype("|u1"), (capacity,), False)
    segment = making.create_anonymous(block, None, unnamed_so_far=0)
    try:
        segment.publish()
        outgoing = Outgoing(segment)
    except BaseException as error:
        segment.release()
        if isinstance(error, OSError):
            raise explain(error, "use for messages", segment.path) from error
        raise
    ending.keep(segment, None)
    _outgoing.append(outgoing)
    return outgoing


def _capacity_for(nbytes: int) -> int:
    """Somewhat more than is needed, so that the next message fits as well."""
    step = max(1 << 18, 1 << max(0, nbytes.bit_length() - 3))
    return -(-nbytes // step) * step


def _make_room(capacity: int, budget: int | None) -> None:
    """Close files that are free until another one may be made."""
    directory = os.path.dirname(location.ram_directory())
    try:
        free = files.free_bytes(directory)
    except OSError as error:
        raise explain(error, "use for messages", directory) from error
    free = min(free, files.available_memory() or free)
    taken = sum(outgoing.capacity for outgoing in _outgoing)
    if budget is None:
        budget = (free + taken) // _PART_OF_FREE_MEMORY
    if capacity > budget:
        raise _no_room(f"it takes {capacity} bytes of the {budget} that are allowed")
    most = min(_MOST, processes.descriptor_limit() // _PART_OF_DESCRIPTORS)
    for outgoing in _free():
        if len(_outgoing) < most and taken + capacity <= budget:
            break
        taken -= outgoing.capacity
        free += outgoing.capacity
        _close(outgoing)
    if len(_outgoing) >= most:
        raise _no_room(f"{most} messages are under way or their arrays in use")
    if taken + capacity > budget:
        raise _no_room(
            f"messages under way and arrays in use take {taken} of the {budget} bytes "
            "that are allowed"
        )
    if capacity > free:
        raise _no_room(f"{free} bytes of memory are free in {directory!r}")


def _no_room(problem: str) -> StorageError:
    return NoSpaceError(problem, location.anonymous_directory())


def _close_all() -> None:
    with _choosing:
        while _outgoing:
            with suppress(OSError):
                _outgoing.pop().close()


def _forget_after_fork() -> None:
    global _choosing, _is_choosing
    _choosing = threading.RLock()  # another thread of the parent may have held it
    _is_choosing = False
    while _outgoing:
        _outgoing.pop().drop_in_child()


ending.at_end(_close_all)
os.register_at_fork(after_in_child=_forget_after_fork)
