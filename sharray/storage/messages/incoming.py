"""A file of another process, from the message that it is mapped for to its end.

See `sharray.storage.message_states` for who may do what when.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ...system import (
    clock,
    files,
    finalizing,
    memory,
    processes,
    remapping,
)
from .. import message_states as message
from .. import trailer
from ..lifetime import transit
from ..segment import Segment
from .taking import Taking

_LOOK_INTERVAL = 0.05


class Incoming(Taking):
    """One file of another process, from which a message is taken."""

    __slots__ = ("_address", "_looked", "_own", "_owner", "_unneeded")

    def __init__(self, segment: Segment, fd: int) -> None:
        super().__init__(segment, fd)
        self._address = memory.address_of(segment.mapping)
        self._looked = 0.0
        # After a fork, the memory is this process's copy and no more the file.
        self._own = False
        self._owner = 0
        self._unneeded = False

    def take_over(self) -> None:
        """From now on `free` is due."""
        self._owner = self.segment.words[trailer.OWNER_WORD]
        self._unneeded = False
        held[id(self)] = self

    def is_from_here(self) -> bool:
        """Return whether this process is the owner; then a relay has come back."""
        return self.segment.words[trailer.OWNER_WORD] == processes.own_stamp()

    def has_come_back(self) -> bool:
        """As `is_from_here`, for data that was taken over.

        It does not look at the file, which another thread may be unmapping.
        """
        return self._owner == processes.own_stamp()

    def is_out(self) -> bool:
        """Return whether its data was sent on, and the receiver still has it."""
        words = self.segment.words
        return words[trailer.GENERATION_WORD] == self._generation and words[
            trailer.STATE_WORD
        ] in (message.IN_FLIGHT, message.HELD)

    def withhold(self) -> bool:
        """Have `free` only note that nothing needs the data; False if it is freed."""
        return not self._own and held.pop(id(self), None) is not None

    @property
    def descriptor(self) -> int:
        """The file, open."""
        return self._fd

    @property
    def generation(self) -> int:
        """Number of the message that was received or sent on last."""
        return self._generation

    @property
    def is_unneeded(self) -> bool:
        """Whether `free` was called."""
        return self._unneeded

    def position_of(self, address: int) -> int:
        """Return the position of an address from the start of the data."""
        return address - self._address - self.segment.data_range[0]

    def free_with(self, guard: Any) -> None:
        """Have `free` called when an object is gone."""
        finalizing.at_death(guard, self.free)

    def free(self) -> None:
        """Nothing in this process needs the data any more.

        Garbage collection calls this, anywhere: it takes no lock that others wait
        for. What is taken out of a dictionary belongs to who took it.
        """
        self._unneeded = True
        freeing[id(self)] = self
        if held.pop(id(self), None) is not None:
            self._free()
        # Else a fork is about to make it our own, and frees it then.
        freeing.pop(id(self), None)

    def _free(self) -> None:
        if self._own:
            self.segment.unmap()
            return
        words = self.segment.words
        # FREE before the lock goes. With HELD and no lock, the owner would claim the
        # file, and this FREE would then give a file away that is being written.
        if words[trailer.STATE_WORD] == message.HELD:
            words[trailer.STATE_WORD] = message.FREE
        self._unlock()
        self.keep()

    def keep(self) -> None:
        """Wait for the next message, if there can be one."""
        # Another thread may have mapped the same file again.
        if self.is_orphan() or kept.setdefault(self.segment.identity, self) is not self:
            self.close()
            return
        while len(kept) > 1 and len(kept) > message.most_files():
            # Others take some out, too.
            with suppress(StopIteration, KeyError, RuntimeError):
                kept.pop(next(iter(kept))).close()

    def is_orphan(self, *, now: bool = False) -> bool:
        """Tell whether no further message will come in this file."""
        words = self.segment.words
        owner = words[trailer.OWNER_WORD]
        if owner == 0 or words[trailer.STATE_WORD] == message.RETIRED:
            return True
        # Asking costs 20 us, which is much for a message.
        looked = clock.monotonic()
        if not now and looked - self._looked < _LOOK_INTERVAL:
            return False
        self._looked = looked
        return not processes.is_alive(owner)

    def close(self) -> None:
        """Unmap it, and remove it if its sender is gone, too."""
        self._close_descriptor()
        self.segment.release()

    def have_owner_look(self) -> None:
        """Before it sends the next message: see `messages.privileges`."""
        if self.segment.anonymous and self.segment.trailer is not None:
            self.segment.words[trailer.LOOK_WORD] = 1

    def is_message_of(self, family: int) -> bool:
        """Tell whether it is under way, sent by a process of this family."""
        if not self.segment.anonymous or self.segment.trailer is None:
            return False
        words = self.segment.words
        is_message = words[trailer.STATE_WORD] == message.IN_FLIGHT
        return is_message and transit.is_sent_by(words, family)

    def drop(self) -> None:
        """Unmap what nothing here refers to, and leave the file alone."""
        self._close_descriptor()
        self.segment.unmap()

    def _close_descriptor(self) -> None:
        # First forgotten, then closed: a fork in between must not close a stranger's.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            files.close(fd)

    def make_own(self) -> None:
        """Become a copy, page by page when they are written to: before a fork.

        Parent and child would otherwise see what the other writes to an array that
        each received by itself. The file is used for no other message then, and the
        kernel removes it with the last of the two.
        """
        if self._own:
            self.put_back()
            return
        # Also if the next call fails: arrays of a child lie in the file from now on, so
        # that it must not go back to its sender.
        self._own = True
        with suppress(OSError):
            remapping.make_private(self._address, len(self.segment.mapping), self._fd)
        self.stay_private()

    def stay_private(self) -> None:
        """Keep data that is private already; the second half of `make_own`."""
        self._own = True
        if self._remove_name():
            self._close_descriptor()
        self.put_back()

    def leave(self) -> None:
        """Prepare for the end of the process; the data can be used until then."""
        self._own = True  # what frees it later does not make it the sender's again
        self._remove_name()
        self.put_back()

    def put_back(self) -> None:
        """Have `free` free the file again; do that now if it was called meanwhile."""
        held[id(self)] = self
        if self._unneeded:
            self.free()

    def _remove_name(self) -> bool:
        """Have the file end with its mappings; False if this user may not do that.

        Its sender may use such a file again, once it is no longer locked.

        Without the lease's exclusive lock, which else nobody may do: while arrays of
        this process lie in it no other one can have it, and its sender looks for
        the name before it uses the file again.
        """
        segment = self.segment
        path, device, inode = segment.path, segment.device, segment.inode
        try:
            if files.names_same_file(path, device, inode, follow=False):
                files.unlink(path)
        except OSError:
            pass  # its sender has removed it, or this is another user now
        return self._fd >= 0 and files.is_unlinked(self._fd)


# What is taken out of one of these belongs to who took it. By id, those that hold data;
# by identity, those that wait for the next message, the one longest unused first; and
# those that another thread is just moving, which a forked child must not keep.
held: dict[int, Incoming] = {}
kept: dict[bytes, Incoming] = {}
freeing: dict[int, Incoming] = {}
