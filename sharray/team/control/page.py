"""The memory through which a team works: see `sharray.team.control.layout`."""

from __future__ import annotations

import numpy as np

from ...native import atomic
from ...system import files, futex, memory, processes
from . import layout as at

LABEL = "sharray-team"  # of the memory, in /proc
_WORD = 8


class ControlBlock:
    """The control block of a team, mapped.

    Attributes
    ----------
    array : ndarray of int64
        All of it.
    words : memoryview of int64
        The same; Python reads and writes single words faster so.
    slots : memoryview of bytes
        The part for the arguments of a kernel.
    address : int
        Where it begins in this process.
    """

    def __init__(self, fd: int, members: int) -> None:
        nbytes = at.size(members) * _WORD
        mapping = memory.map_file(fd, nbytes, writable=True, private=False)
        # What NumPy makes of the mapping keeps it.
        self.array = np.frombuffer(mapping, np.int64)
        self.address = int(self.array.ctypes.data)
        self.words: memoryview[int] = self.array.data
        octets = self.words.cast("B")
        self.slots = octets[at.slots_start(members) * _WORD :]
        start = at.NAME * _WORD
        self._name = octets[start : start + at.NAME_SIZE]

    def ring(self, number: int) -> None:
        """Wake all workers; the number is another one than before."""
        self.words[at.BELL] = number
        # Not only if somebody sleeps: without a fence, that could be seen too late.
        futex.wake(self.address + at.BELL * _WORD, at.EVERYBODY)

    def show(self, kernel: str) -> None:
        """Tell who looks at the team from outside what it runs."""
        name = kernel.encode(errors="replace")[: at.NAME_SIZE].ljust(
            at.NAME_SIZE, b"\0"
        )
        self._name[:] = name

    def cancel(self) -> None:
        """Let no chunk begin any more, and nobody join."""
        self.words[at.CANCEL] = 1
        atomic.or_(self.array, at.GATE, at.CLOSED)

    @property
    def is_finished(self) -> bool:
        """Whether the gate is closed and nobody is inside."""
        return self.words[at.GATE] & (at.CLOSED | at.COUNT) == at.CLOSED

    def outcome(self, member: int) -> int:
        """The address of what a member's kernel returned."""
        return self.address + (at.member(member) + at.OUTCOME) * _WORD


def create(members: int) -> tuple[int, ControlBlock]:
    """A new control block, and the descriptor with which others can map it."""
    fd = memory.create_block(at.size(members) * _WORD, LABEL)
    try:
        control = ControlBlock(fd, members)
        # Last: `sharray top` takes a block with a caller for a team.
        control.words[at.CALLER] = processes.own_stamp()
        return fd, control
    except BaseException:
        files.close(fd)
        raise


def own_words() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Words for one process alone."""
    return np.zeros(at.OWN_SIZE, np.int64)
