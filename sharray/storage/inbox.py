"""The inbox: the files of other processes in which this one has received messages.

They stay mapped for the next message from the same sender. See
`sharray.storage.message` for who may do what when.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ..errors import HandleError, MessageError, StorageError
from ..system import files, locks, memory, processes
from . import ending, location, message, trailer
from .attaching import attach_open
from .segment import Segment

# Mapped at the same time, to hold data as well as to wait for some: each takes two
# descriptors up to Python 3.12, and the program needs most of its own.
_MOST = 64
_PART_OF_DESCRIPTORS = 8
_LOOK_INTERVAL = 0.05
# Descriptors or address space: the files that are kept have some to give.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


Places = Sequence[tuple[int, int]]


class Incoming:
    """One file of another process, from which a message is taken.

    Attributes
    ----------
    segment : Segment
        The file.
    """

    __slots__ = (
        "_address",
        "_fd",
        "_lock_offset",
        "_looked",
        "_own",
        "_unneeded",
        "segment",
    )

    def __init__(self, segment: Segment, fd: int) -> None:
        self.segment = segment
        self._address = memory.address_of(segment.mapping)
        self._fd = fd
        self._lock_offset = message.lock_offset(segment)
        self._looked = 0.0
        # After a fork, the memory is this process's copy and no more the file.
        self._own = False
        self._unneeded = False

    def hold(self, generation: int, token: int) -> bool:
        """Take the data of one message; False if it is not there any more."""
        locks.lock_byte(self._fd, self._lock_offset)
        if not self._has(generation):
            locks.unlock_byte(self._fd, self._lock_offset)
            return False
        self.segment.words[trailer.STATE_WORD] = message.HELD
        self.segment.record_received(token)
        return True

    def copy(
        self, generation: int, token: int, places: Places
    ) -> list[bytearray] | None:
        """Copy the data of one message, and free it; None if it is not there.

        Without the lock: being killed meanwhile is no other than shortly before.
        """
        if not self._has(generation):
            return None
        data = self.segment.data
        found = [bytearray(data[begin:end]) for begin, end in places]
        self.segment.record_received(token)
        self.segment.words[trailer.STATE_WORD] = message.FREE
        return found

    def _has(self, generation: int) -> bool:
        words = self.segment.words
        return (
            words[trailer.GENERATION_WORD] == generation
            and words[trailer.STATE_WORD] == message.IN_FLIGHT
        )

    def take_over(self) -> None:
        """From now on `free` is due."""
        self._unneeded = False
        _held[id(self)] = self

    def free(self) -> None:
        """Nothing in this process needs the data any more.

        Garbage collection calls this, anywhere: it takes no lock that others wait
        for. What is taken out of a dictionary belongs to who took it.
        """
        self._unneeded = True
        if _held.pop(id(self), None) is None:
            return  # a fork is about to make it our own, and frees it then
        if self._own:
            self.segment.unmap()
            return
        words = self.segment.words
        if words[trailer.STATE_WORD] == message.HELD:
            words[trailer.STATE_WORD] = message.FREE
        locks.unlock_byte(self._fd, self._lock_offset)
        self.keep()

    def keep(self) -> None:
        """Wait for the next message, if there can be one."""
        # Another thread may have mapped the same file anew.
        if (
            self.is_orphan()
            or _kept.setdefault(self.segment.identity, self) is not self
        ):
            self.close()
            return
        while len(_kept) > _most():
            # Others take some out, too.
            with suppress(StopIteration, KeyError, RuntimeError):
                _kept.pop(next(iter(_kept))).close()

    def is_orphan(self, *, now: bool = False) -> bool:
        """Whether no further message will come in this file."""
        words = self.segment.words
        owner = words[trailer.OWNER_WORD]
        if owner == 0 or words[trailer.STATE_WORD] == message.RETIRED:
            return True
        # Asking costs 20 us, which is much for a message.
        looked = time.monotonic()
        if not now and looked - self._looked < _LOOK_INTERVAL:
            return False
        self._looked = looked
        return not processes.is_alive(owner)

    def close(self) -> None:
        """Unmap it, and remove it if its sender is gone, too."""
        files.close(self._fd)
        self.segment.release()

    def drop_in_child(self) -> None:
        """Unmap what a fork has inherited and nothing here refers to."""
        files.close(self._fd)
        self.segment.unmap()

    def make_own(self) -> None:
        """Become a copy, page by page when they are written to: before a fork.

        Parent and child would otherwise see what the other writes to an array that
        each received by itself. The file is used for no other message then, and the
        kernel removes it with the last of the two.
        """
        if not self._own:
            self._own = True
            with suppress(OSError):
                memory.make_private(self._address, self.segment.size, self._fd)
            self._remove_name()
            files.close(self._fd)
        _held[id(self)] = self
        if self._unneeded:
            self.free()

    def leave(self) -> None:
        """Prepare for the end of the process; the data can be used until then."""
        self._own = True  # what frees it later does not make it the sender's again
        self._remove_name()

    def _remove_name(self) -> None:
        """Have the file end with its mappings.

        Without the lease's exclusive lock, which else nobody may do: while arrays of
        this process lie in it no other one can have it, and its sender looks for
        the name before it uses the file again.
        """
        segment = self.segment
        path, device, inode = segment.path, segment.device, segment.inode
        with suppress(OSError):
            if files.names_same_file(path, device, inode, follow=False):
                files.unlink(path)


# By id, those that hold data; by identity, those that wait for the next message, the
# one longest unused first.
_held: dict[int, Incoming] = {}
_kept: dict[bytes, Incoming] = {}
# Held by who receives, so that a fork waits for that.
_receiving = threading.RLock()


def receive(
    path: str, identity: bytes, generation: int, token: int, places: Places
) -> Incoming:
    """Take over the data of a message, where it is.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    identity : bytes
        Device, inode and uuid of the file.
    generation, token : int
        From the message.
    places : sequence of (int, int)
        Begin and end of each part, from the start of the data.

    Raises
    ------
    MessageError
        It was received already, does not fit, or the file is gone.
    """
    with _receiving, _take(path, identity, places) as incoming:
        if not incoming.hold(generation, token):
            raise _received_before(path)
        incoming.take_over()
        return incoming


def receive_copy(
    path: str, identity: bytes, generation: int, token: int, places: Places
) -> list[bytearray]:
    """As `receive`, but copy it, so that the sender can use the file again at once."""
    with _receiving, _take(path, identity, places) as incoming:
        found = incoming.copy(generation, token, places)
        if found is None:
            raise _received_before(path)
        incoming.keep()
        return found


@contextmanager
def _take(path: str, identity: bytes, places: Places) -> Iterator[Incoming]:
    """The file of a message; kept for the next one if anything goes wrong."""
    incoming = _kept.pop(identity, None) or _attach(path, identity)
    try:
        first, end = incoming.segment.data_range
        needed = max((place[1] for place in places), default=0)
        if needed > end - first:
            raise MessageError(
                f"a message does not fit its memory: expected at most {end - first} "
                f"bytes, found {needed}; it is damaged, send it again",
                path,
            )
        yield incoming
    except BaseException:
        incoming.keep()
        raise


def _received_before(path: str) -> MessageError:
    return MessageError(
        f"the arrays of a message are no longer in {path!r}: it was received before; "
        "send it again instead of loading it twice",
        path,
    )


def has_room() -> bool:
    """Whether a message may stay where it is; otherwise it is better copied."""
    return len(_held) < _most()


def _most() -> int:
    return min(_MOST, processes.descriptor_limit() // _PART_OF_DESCRIPTORS)


def drop_orphans() -> None:
    """Give up the files whose sender is gone or has given them up."""
    with _receiving:
        for identity in list(_kept):
            incoming = _kept.pop(identity, None)
            if incoming is not None and (
                incoming.is_orphan(now=True)
                or _kept.setdefault(identity, incoming) is not incoming
            ):
                incoming.close()


def _attach(path: str, identity: bytes) -> Incoming:
    drop_orphans()
    try:
        place = location.locate(path)
        try:
            segment, fd = attach_open(place, "r+", identity=identity)
        except StorageError as error:
            if error.errno not in _EXHAUSTED or not _kept:
                raise
            _close_kept()
            segment, fd = attach_open(place, "r+", identity=identity)
    except (StorageError, ValueError) as error:
        raise MessageError(
            f"the arrays of a message cannot be read: {error}", path
        ) from error
    if not segment.anonymous or segment.trailer is None:
        files.close(fd)
        segment.release()
        raise HandleError(f"{path!r} is not a file that carries messages", path)
    ending.watch(os.path.dirname(path))
    return Incoming(segment, fd)


def _end() -> None:
    for incoming in list(_held.values()):
        incoming.leave()
    _close_kept()


def _close_kept() -> None:
    with suppress(KeyError):
        while True:
            _kept.popitem()[1].close()


def _before_fork() -> None:
    _receiving.acquire()
    for key in list(_held):
        incoming = _held.pop(key, None)
        if incoming is not None:
            incoming.make_own()


def _after_fork_in_parent() -> None:
    _receiving.release()


def _after_fork_in_child() -> None:
    global _receiving
    _receiving = threading.RLock()
    while _kept:
        _kept.popitem()[1].drop_in_child()


ending.at_end(_end)
os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
