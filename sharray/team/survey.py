"""The state of all teams, read by any process of the same user."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..system import files, mappings, memory, processes
from .control import layout as at
from .control.page import LABEL

_WORD = 8
_MOST_WORDS = at.size(1 << 16)


class MemberStatus(NamedTuple):
    """A member of a team.

    Attributes
    ----------
    pid : int
        Number of its process. Member 0 is the calling process, if it works too.
    state : str
        ``working``, ``waiting`` (for a run, ready to begin at once), ``asleep`` or
        ``gone``.
    chunks : int
        Number of chunks that it has done in the run.
    """

    pid: int
    state: str
    chunks: int


class TeamStatus(NamedTuple):
    """The state of a team, from `sharray.teams`.

    Attributes
    ----------
    pid : int
        Number of the process that owns the team.
    command : str
        The command line of that process.
    running : bool
        Whether the team is executing a run.
    kernel : str
        Name of the kernel that runs, or that ran last; empty before the first run.
    chunks_done, chunks : int
        Number of chunks done, and of all chunks.
    members : tuple of MemberStatus
        The members of the team.
    """

    pid: int
    command: str
    running: bool
    kernel: str
    chunks_done: int
    chunks: int
    members: tuple[MemberStatus, ...]


def teams() -> list[TeamStatus]:
    """Return the state of the teams of all processes of this user.

    This reads the shared memory of each team word by word and does not disturb the
    team. So the numbers of one team may be some microseconds apart.

    Returns
    -------
    list of TeamStatus
        Sorted by process number; for root, the teams of all users.

    Examples
    --------
    >>> import os
    >>> import sharray as sh
    >>> with sh.Team(1) as team:
    ...     [found] = [one for one in sh.teams() if one.pid == os.getpid()]
    ...     [member.pid for member in found.members] == [os.getpid(), *team.pids()]
    True
    """
    found = []
    for fd in memory.find_blocks(LABEL):
        size = files.status(fd).st_size
        # Any program may make a block with this label, so check its size.
        if at.size(1) * _WORD <= size <= _MOST_WORDS * _WORD:
            block = files.read_at(fd, size, 0)
            # It may have shrunk since its size was read.
            if len(block) >= at.size(1) * _WORD:
                whole_words = len(block) // _WORD * _WORD
                words = memoryview(block[:whole_words]).cast("q")
                found.append(_read_team(words))
    return sorted(team for team in found if team is not None)


def _read_team(words: memoryview[int]) -> TeamStatus | None:
    caller = words[at.CALLER]
    if not processes.is_alive(caller):
        return None  # the owner has ended, and the workers are about to
    pid = caller >> 32
    running = words[at.GATE] & (at.CLOSED | at.COUNT) != at.CLOSED
    status_of = _member_reader(words, pid, running)
    members = tuple(status_of(number) for number in range(at.members(len(words))))
    start = at.NAME * _WORD
    name = bytes(words.cast("B")[start : start + at.NAME_SIZE])
    return TeamStatus(
        pid,
        mappings.command(pid),
        running,
        name.rstrip(b"\0").decode(errors="ignore"),
        sum(member.chunks for member in members),
        words[at.CHUNKS],
        members,
    )


def _member_reader(
    words: memoryview[int], caller: int, running: bool
) -> Callable[[int], MemberStatus]:
    def read(number: int) -> MemberStatus:
        mine = at.member(number)
        # Only the caller writes no PID: it is member 0, if it works.
        pid = words[mine + at.PID] or caller
        if pid == caller:
            state = "working" if running else "waiting"
        elif not processes.stamp(pid):
            state = "gone"
        elif words[mine + at.INSIDE]:
            state = "working"
        else:
            state = "asleep" if words[mine + at.ASLEEP] else "waiting"
        return MemberStatus(pid, state, words[mine + at.DONE])

    return read
