"""The control block in memory; `sharray.team.control.layout` describes its words."""

from __future__ import annotations

import numpy as np

from ...native import atomic
from ...system import files, futex, memory, processes
from . import layout as at

# The name of the memory in /proc. Programs of one user may have different versions of
# sharray: with another layout, it gets another number.
LABEL = "sharray-team-3"
_WORD = 8


class ControlBlock:
    """The control block of a team, mapped.

    Attributes
    ----------
    array : ndarray of int64
        The whole block.
    words : memoryview of int64
        The same memory; Python reads and writes single words faster through it.
    slots : memoryview of bytes
        The part for the arguments of a kernel.
    address : int
        Address of the block in this process.
    """

    def __init__(self, fd: int, members: int) -> None:
        nbytes = at.size(members) * _WORD
        mapping = memory.map_file(fd, nbytes, writable=True, private=False)
        # The NumPy array keeps the mapping alive.
        self.array = np.frombuffer(mapping, np.int64)
        self.address = int(self.array.ctypes.data)
        self.words: memoryview[int] = self.array.data
        self.slots = self.words.cast("B")[at.slots_start(members) * _WORD :]

    def ring(self, number: int) -> None:
        """Wake all workers; `number` must differ from the last one."""
        # The store first: a worker that is woken sleeps again if BELL is the old one.
        self.words[at.BELL] = number
        # Always wake. This store is not atomic, so a look at SLEEPERS after it could
        # miss a worker that counts itself just now, and that worker would sleep on.
        futex.wake(self.address + at.BELL * _WORD, at.EVERYBODY)

    def show(self, kernel: str) -> None:
        """Write the kernel's name, for `sharray.teams` in other processes."""
        _write_name(self.words, at.KERNEL_NAME, kernel)

    def cancel(self) -> None:
        """Cancel the run: no chunk begins any more, and no worker joins."""
        self.words[at.CANCEL] = 1
        atomic.or_(self.array, at.GATE, at.CLOSED)

    @property
    def is_finished(self) -> bool:
        """Return whether the gate is closed and nobody is inside."""
        return self.words[at.GATE] & (at.CLOSED | at.COUNT) == at.CLOSED

    def chunk(self, member: int) -> tuple[int, int]:
        """Return begin and end of the chunk that a member works on, or did last."""
        mine = at.member(member)
        return self.words[mine + at.CURRENT], self.words[mine + at.CURRENT_END]

    def outcome(self, member: int) -> int:
        """Return the address of the value that a member's kernel returned."""
        return self.address + (at.member(member) + at.OUTCOME) * _WORD


def create(members: int, team: str) -> tuple[int, ControlBlock]:
    """Return a descriptor for others to map a new control block, and the block."""
    fd = memory.create_block(at.size(members) * _WORD, LABEL)
    try:
        control = ControlBlock(fd, members)
        _write_name(control.words, at.TEAM_NAME, team)
        for number in range(members):
            control.words[at.member(number) + at.PLACE] = number
            control.words[at.member(number) + at.PLACE + 1] = members
        # Last: `sharray top` shows every block that has a caller as a team.
        control.words[at.CALLER] = processes.own_stamp()
        return fd, control
    except BaseException:
        files.close(fd)
        raise


def own_words() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the words that one process uses alone."""
    return np.zeros(at.OWN_SIZE, np.int64)


def _write_name(words: memoryview[int], first: int, name: str) -> None:
    start = first * _WORD
    encoded = name.encode(errors="replace")[: at.NAME_SIZE]
    words.cast("B")[start : start + at.NAME_SIZE] = encoded.ljust(at.NAME_SIZE, b"\0")


def read_name(words: memoryview[int], first: int) -> str:
    """Return a name from a block that any program may have written."""
    start = first * _WORD
    found = bytes(words.cast("B")[start : start + at.NAME_SIZE])
    # A name that was cut may end in the middle of a character.
    return found.partition(b"\0")[0].decode(errors="ignore")
