"""Relays: the data of a message that was received leaves again, in the same file.

The process that sends it still has arrays in that memory, and may write to them until
they are gone. So the memory is frozen first, and the file goes on later::

            begin           arrays gone             send
     HELD  ------->  frozen  ---------->  frozen  -------->  IN_FLIGHT
                       |
                       |  arrays are still there: their data is copied
                       v
                     HELD, private: the file is used for no other message

Whatever is stored meanwhile, by another thread or by a ``__del__`` that the end of the
arrays calls, the file keeps the values that it had at `begin`. Without that, receivers
would get values that the program has never sent.
"""

from __future__ import annotations

import ctypes

from ...system import finalizing, freezing, memory
from ..format import TRAILER_SIZE
from ..segment import Segment
from .incoming import Incoming, held
from .outgoing import note_channel


def find(address: int, nbytes: int) -> Incoming | None:
    """Return the file of a message that has these bytes, all of them; or None."""
    for incoming in list(held.values()):
        begin = incoming.position_of(address)
        if 0 <= begin <= begin + nbytes <= incoming.segment.header.nbytes:
            return incoming
    return None


class Relay:
    """A message that was received, and is about to leave again.

    It takes the place of an `Outgoing` in the message. Call its methods with signals
    deferred.

    Attributes
    ----------
    segment : Segment
        The file.
    """

    __slots__ = (
        "_elsewhere",
        "_first",
        "_incoming",
        "_is_over",
        "_nbytes",
        "_token",
        "segment",
    )

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self.segment: Segment = incoming.segment
        first, end = self.segment.data_range
        self._first = memory.address_of(self.segment.mapping) + first
        self._nbytes = -(-(end - first) // memory.PAGE_SIZE) * memory.PAGE_SIZE
        self._elsewhere: int | None = None
        self._token: int | None = None
        self._is_over = False

    @classmethod
    def begin(cls, incoming: Incoming) -> Relay | None:
        """Freeze the data of a message; None if that is not possible."""
        relay = cls(incoming)
        if relay._is_beside_trailer() or not incoming.withhold():
            return None
        try:
            relay._elsewhere = freezing.freeze(
                relay._first,
                relay._nbytes,
                incoming.descriptor,
                relay.segment.data_range[0],
            )
        except (OSError, NotImplementedError):  # too many mappings; not Linux
            incoming.put_back()
            return None
        return relay

    def _is_beside_trailer(self) -> bool:
        """Return whether data and trailer share a page, as large pages may be."""
        end = self.segment.data_range[0] + self._nbytes
        return end > self.segment.size - TRAILER_SIZE

    @property
    def generation(self) -> int:
        """Which use of the file this is."""
        return self._incoming.generation

    def is_ready(self) -> bool:
        """Return whether nothing in this process needs the data any more."""
        finalizing.act_for_the_dead()
        return self._incoming.is_unneeded

    def send(self, fd: int) -> int | None:
        """Let the message leave, once it is ready, and return its token.

        None if it has to be copied: see `Incoming.send_on`.

        Parameters
        ----------
        fd : int
            The pipe. Should this process be killed before the bytes leave, the owner
            has its file back when the pipe is closed.
        """
        if self._thaw():
            self.note_channel(fd)
            self._token = self._incoming.send_on()
        return self._token

    def bytes_at(self, begin: int, end: int) -> memoryview:
        """Return a part of the data, as it was at `begin`; copy it before `end`."""
        start = self._first if self._elsewhere is None else self._elsewhere
        part = (ctypes.c_char * (end - begin)).from_address(start + begin)
        return memoryview(part).cast("B")

    def note_channel(self, fd: int) -> None:
        """Note for everybody through which pipe or socket the message goes."""
        note_channel(self.segment, fd)

    def recall(self) -> None:
        """Take back a message that could not be sent."""
        if self._token is not None:
            self._incoming.recall(self._token)
        self.end()

    def end(self) -> None:
        """Do no more with the file: it has left, or its data was copied."""
        if self._is_over:
            return
        self._is_over = True
        if self._token is not None:
            self._incoming.keep()
        elif self.is_ready() and self._thaw():
            self._incoming.put_back()
        else:
            self._stay()

    def _stay(self) -> None:
        """Let the arrays that are still there have the memory."""
        if self._elsewhere is not None:
            freezing.release(self._elsewhere, self._nbytes)
            self._elsewhere = None
        self._incoming.stay_private()

    def _thaw(self) -> bool:
        if self._elsewhere is not None:
            try:
                freezing.thaw(self._first, self._nbytes, self._elsewhere)
            except OSError:  # too many mappings
                return False
            self._elsewhere = None
        return True
