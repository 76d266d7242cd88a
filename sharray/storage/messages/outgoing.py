"""A file of this process for messages, from one use to the next.

See `sharray.storage.message_states` for who may do what when.
"""

from __future__ import annotations

from contextlib import suppress

from ...errors import NoSpaceError, StorageError
from ...system import (
    channels,
    clock,
    files,
    locks,
    memory,
    open_channels,
    processes,
)
from ...system.open_channels import OpenChannels
from .. import ending, location, trailer
from .. import message_states as message
from ..lifetime import transit
from ..segment import Segment
from . import privileges


def no_room(problem: str) -> StorageError:
    """Return the error for a message that cannot go through shared memory."""
    return NoSpaceError(problem, location.anonymous_directory())


def note_channel(segment: Segment, fd: int) -> None:
    """Note in a file through which pipe or socket its message goes."""
    # The channel last: its number counts as soon as it is not 0, and without the
    # namespace, a process of another container would take the pipe for closed.
    segment.words[trailer.NAMESPACE_WORD] = open_channels.namespace()
    segment.words[trailer.CHANNEL_WORD] = channels.channel_of(fd)


class Outgoing:
    """One file of this process for messages.

    Attributes
    ----------
    capacity : int
        Bytes of data that it has room for.
    has_contents : bool
        True if the file was made with the data of its first message.
    """

    __slots__ = (
        "_abandoned",
        "_fd",
        "_token",
        "capacity",
        "has_contents",
        "segment",
        "used",
    )

    def __init__(self, segment: Segment, *, has_contents: bool = False) -> None:
        self.segment = segment
        self.has_contents = has_contents
        self.capacity = segment.header.nbytes
        self.used = clock.monotonic()
        self._token = 0
        self._abandoned = False
        # Not the one of the mapping: whether others have locked a byte can be asked
        # through another open file only.
        self._fd = files.open_existing(segment.path, writable=True, follow=False)
        segment.words[trailer.STATE_WORD] = message.WRITING
        # A process that is about to change its user sets this word in all files that it
        # finds. It may have listed the directory before this one was there.
        segment.words[trailer.LOOK_WORD] = 1
        segment.words[trailer.OWNER_WORD] = processes.own_stamp()

    @property
    def generation(self) -> int:
        """Which use of the file this is."""
        return self.segment.words[trailer.GENERATION_WORD]

    def is_free(self) -> bool:
        """Tell whether nobody needs the data of the last message any more."""
        return self._is_returned() or self._is_abandoned()

    def _is_returned(self) -> bool:
        return self.segment.words[trailer.STATE_WORD] == message.FREE

    def _is_abandoned(self) -> bool:
        """Tell whether the receiver has ended without giving the file back."""
        generation = self.generation
        # Twice. A receiver that relays the message changes the generation while it is
        # HELD, and unlocks after IN_FLIGHT. If the next one then says HELD, the first
        # look may have been between the two, but the second is at a locked byte.
        for _ in range(2):
            if not self._is_held() or self._is_locked(generation):
                return False
        # It may be FREE by now, which is as good.
        return self.generation == generation

    def _is_held(self) -> bool:
        return self.segment.words[trailer.STATE_WORD] == message.HELD

    def _is_locked(self, generation: int) -> bool:
        offset = message.lock_offset(self.segment.size, generation)
        return locks.is_byte_locked(self._fd, offset)

    def is_lost(self) -> bool:
        """Tell whether it is free, but no receiver would find it.

        One that made the data its own has removed the name, and never says ``FREE``.
        """
        return self._is_abandoned() and files.status(self._fd).st_nlink == 0

    def claim(self) -> None:
        """Begin the next use of a file that is free."""
        words = self.segment.words
        if self._is_held():
            # The receiver was killed, perhaps before it has cleared its entry.
            transit.clear(words)
        words[trailer.STATE_WORD] = message.WRITING
        # While the state is not IN_FLIGHT. A late duplicate of the message before would
        # find its own number else, and open the data of this one.
        words[trailer.GENERATION_WORD] = (self.generation + 1) % (1 << 64)
        # Of the message before. If that pipe is gone, another thread would recall this
        # message between `send` and `note_channel`.
        words[trailer.CHANNEL_WORD] = 0
        self._token = 0
        self.has_contents = False
        self.used = clock.monotonic()

    def send(self, *, to_strangers: bool = False) -> int | None:
        """Let the message leave, whose data is complete, and return its token.

        None if nobody could receive it: the process has ended so far, or one of its
        family has become another user.
        """
        if self._abandoned:
            return None
        # All of it before the message leaves. Without an entry, a sender that is killed
        # then leaves a file that the next process sweeps. The look comes after the
        # state: a process that changes its user could miss the message else, and this
        # one the note.
        self._token = self.segment.record_sent(to_strangers=to_strangers)
        self.segment.words[trailer.STATE_WORD] = message.IN_FLIGHT
        if self.segment.words[trailer.LOOK_WORD] and self._must_use_pipe():
            self.recall()
            return None
        return self._token

    def _must_use_pipe(self) -> bool:
        """`sharray.storage.messages.privileges` says why in this order."""
        words = self.segment.words
        # Before the look: set by another process meanwhile, it counts for the next one.
        words[trailer.LOOK_WORD] = 0
        if not privileges.must_use_pipe():
            return False
        words[trailer.LOOK_WORD] = 1
        return True

    def recall(self) -> None:
        """Take back a message that could not be sent, or not even be written.

        Nobody else may have its bytes; `recall_lost` is for those that have left.
        """
        self.used = clock.monotonic()
        # Before FREE, after which another thread may claim the file: see `claim`.
        self.segment.record_received(self._token)
        self.segment.words[trailer.STATE_WORD] = message.FREE

    def recall_lost(self) -> None:
        """Recall a message whose pipe is gone, unless somebody is just receiving it.

        A process may read the bytes, close the pipe, and open the message then.
        """
        generation = self.generation
        offset = message.lock_offset(self.segment.size, generation)
        # Before FREE: a receiver that has seen IN_FLIGHT would read the next message.
        # If one has come and gone since we looked, FREE is right as well.
        if locks.lock_byte(self._fd, offset):
            # Unless it has relayed the message: then another one may hold it, with the
            # lock of the next generation.
            if self.generation == generation:
                # The entry may be that of a process which has relayed it.
                transit.clear(self.segment.words)
                self.recall()
            locks.unlock_byte(self._fd, offset)

    def note_channel(self, fd: int) -> None:
        """Note for everybody through which pipe or socket the message goes."""
        note_channel(self.segment, fd)

    def is_in_flight(self) -> bool:
        """Tell whether the message has not been received yet."""
        return self.segment.words[trailer.STATE_WORD] == message.IN_FLIGHT

    def is_in_closed_channel(self, found: OpenChannels) -> bool:
        """Tell whether the message is under way, but nobody can read its channel."""
        channel = self.segment.words[trailer.CHANNEL_WORD]
        known = channel != 0 and self.is_in_flight()
        return known and not found.may_have(channel)

    def abandon(self) -> None:
        """Have it end with this process; another thread just writes to it."""
        self._abandoned = True
        with suppress(OSError):
            files.unlink(self.segment.path)

    def is_being_written(self) -> bool:
        """Tell whether its data is not complete."""
        return self.segment.words[trailer.STATE_WORD] == message.WRITING

    def has_no_channel(self) -> bool:
        """Tell whether the message is complete, and may not have left so far."""
        return self.is_in_flight() and self.segment.words[trailer.CHANNEL_WORD] == 0

    def leave(self) -> None:
        """Use it for no other message; its memory is there until the process ends."""
        self.segment.words[trailer.OWNER_WORD] = 0
        ending.leave_to_end(self.segment)

    def close(self) -> None:
        """Use it no more.

        The memory of a file that is free goes back at once, although receivers may
        keep it mapped until they notice.
        """
        words = self.segment.words
        # Receivers that keep the file mapped unmap it when they see 0. For a message
        # that is still under way, the last of them removes the file.
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
