"""What teams do, seen from any process of the same user."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..system import files, mappings, memory, processes
from .control import layout as at
from .control.page import LABEL

_WORD = 8
_MOST_WORDS = at.size(1 << 16)


class MemberStatus(NamedTuple):
    """One of those who work for a team.

    Attributes
    ----------
    pid : int
        Number of its process; of member 0 it is the team's own, if that one works too.
    state : str
        ``working``, ``waiting`` (for a run, ready to begin at once), ``asleep`` or
        ``gone``.
    chunks : int
        How many it has done in the run.
    """

    pid: int
    state: str
    chunks: int


class TeamStatus(NamedTuple):
    """A team, as `sharray.teams` found it.

    Attributes
    ----------
    pid : int
        Number of the process that it belongs to.
    command : str
        The command line of that process.
    running : bool
        Whether a run is under way.
    kernel : str
        Name of the kernel that runs, or that ran last; empty before the first run.
    chunks_done, chunks : int
        How many chunks of it are done, and how many there are.
    members : tuple of MemberStatus
        Who works for it.
    """

    pid: int
    command: str
    running: bool
    kernel: str
    chunks_done: int
    chunks: int
    members: tuple[MemberStatus, ...]


def teams() -> list[TeamStatus]:
    """Tell what teams there are, in all processes of this user, and what they do.

    The teams know nothing of it: it is read from the memory by which their processes
    talk, word by word, so the numbers of one team may be some microseconds apart.

    Returns
    -------
    list of TeamStatus
        By number of their process; as root, those of all users.

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
        # Whoever can make such a block can write to it what they like.
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
        return None  # its workers are about to end
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
        # A caller that does not work leaves no member without a process.
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
