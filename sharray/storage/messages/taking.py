"""Taking the data of a message out of its file, and sending it on.

What a receiver does here, the owner of the file and other receivers see: it locks bytes
and changes words. See `sharray.storage.message_states` for who may do what when.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...system import interrupts, locks
from .. import message_states as message
from .. import trailer
from ..segment import Segment

Places = Sequence[tuple[int, int]]


class Taking:
    """One file from which messages are taken.

    Parameters
    ----------
    segment : Segment
        The file.
    fd : int
        The open file that has the locks.
    """

    __slots__ = ("_fd", "_generation", "segment")

    def __init__(self, segment: Segment, fd: int) -> None:
        self.segment = segment
        self._fd = fd
        self._generation = 0

    def hold(self, generation: int, token: int) -> bool:
        """Take the data of one message; False if it is not there any more."""
        # Before HELD: the owner takes HELD without a lock for a receiver that is dead,
        # and writes the next message over the arrays.
        if not self._lock(generation):
            return False
        if not self._has(generation):
            self._unlock()
            return False
        self.segment.words[trailer.STATE_WORD] = message.HELD
        # A kill in between leaves an entry, which the owner clears with its next claim.
        self.segment.record_received(token)
        return True

    def copy(
        self, generation: int, token: int, places: Places, *, interruptible: bool
    ) -> list[bytearray] | None:
        """Copy the data of one message, and free it; None if it is not there.

        A process that is killed while it copies leaves the file IN_FLIGHT, like one
        that is killed just before.
        """
        if not self._lock(generation):
            return None
        try:
            if not self._has(generation):
                return None
            data = self.segment.data
            found = []
            for begin, end in places:
                if interruptible:
                    self._let_signals_in(token)
                found.append(bytearray(data[begin:end]))
            self._drop_message(token)
            return found
        finally:
            self._unlock()

    def _lock(self, generation: int) -> bool:
        """Lock a message; False if another process is receiving or recalling it."""
        self._generation = generation
        # Before the look at the state. Between that look and the next step, another
        # receiver could take the message, or its owner recall it and write the next.
        return locks.lock_byte(self._fd, self._lock_offset())

    def _unlock(self) -> None:
        locks.unlock_byte(self._fd, self._lock_offset())

    def _lock_offset(self) -> int:
        return message.lock_offset(self.segment.size, self._generation)

    def _let_signals_in(self, token: int) -> None:
        """Let an interrupt end a copy of gigabytes between its parts.

        The message is lost then, like any that is interrupted while it is received,
        but its memory is not.
        """
        try:
            interrupts.check()
        except BaseException:
            self._drop_message(token)
            raise

    def _drop_message(self, token: int) -> None:
        # FREE last. After it the owner may send the next message, in the same entry,
        # and `record_received` could clear that one between its look and its store.
        self.segment.record_received(token)
        self.segment.words[trailer.STATE_WORD] = message.FREE

    def _has(self, generation: int) -> bool:
        words = self.segment.words
        # The state first: nobody else takes this message out of IN_FLIGHT now. If it is
        # gone already, its owner may send the next one between the two looks, and the
        # state would be that one's.
        return (
            words[trailer.STATE_WORD] == message.IN_FLIGHT
            and words[trailer.GENERATION_WORD] == generation
        )

    def send_on(self) -> int | None:
        """Let the data leave again as another message, and return its token.

        None if it has to be copied: a note may forbid to send, and only the owner looks
        for that.
        """
        words, before = self.segment.words, self._lock_offset()
        generation = (self._generation + 1) % (1 << 64)
        # Both bytes are locked while the number changes. With HELD and an unlocked
        # byte, the owner would claim the file.
        if not locks.lock_byte(
            self._fd, message.lock_offset(self.segment.size, generation)
        ):
            return None
        self._generation = generation
        # Before IN_FLIGHT: a late duplicate of the message before would find its own
        # number else.
        words[trailer.GENERATION_WORD] = generation
        token = self.segment.record_sent()
        words[trailer.STATE_WORD] = message.IN_FLIGHT
        # After IN_FLIGHT: see `sharray.storage.messages.privileges`.
        if words[trailer.LOOK_WORD]:
            self.segment.record_received(token)
            words[trailer.STATE_WORD] = message.HELD
            locks.unlock_byte(self._fd, before)
            return None
        locks.unlock_byte(self._fd, before)
        # Before the message leaves, whose receiver locks this byte.
        self._unlock()
        return token

    def recall(self, token: int) -> None:
        """Free a file whose message could not leave, unless somebody has it by now."""
        # Its pipe is broken, so the owner may be recalling it at the same time.
        if self._lock(self._generation):
            if self._has(self._generation):
                self._drop_message(token)
            self._unlock()
