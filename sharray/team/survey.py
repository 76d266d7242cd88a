"""`teams`: the state of all teams, read by any process of the same user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..notebook import html
from ..notebook.text import count, printable
from ..system import command_lines, files, memory, process_names, processes
from ..system.process_names import Process
from .control import layout as at
from .control.page import LABEL, read_name

_WORD = 8
_HEADER = ("team", "process", "kernel", "done", "members")
_LONG = ("team", "process", "kernel", "members")
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
    done : int
        How much of the run it has done, in rows, elements or iterations.
    """

    pid: int
    state: str
    done: int


class TeamStatus(NamedTuple):
    """The state of a team, from `sharray.teams`.

    Its repr has the main facts, and `_asdict` has all.

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
    done, length : int
        How much is done, and the length of the whole: in rows, elements or iterations,
        like the progress of `Team.run`.
    members : tuple of MemberStatus
        The members of the team.
    name : str
        Name of the team: the first 64 bytes of ``Team(name=...)``, ``default``, or a
        number.
    process : Process
        The process that owns the team; `owner` is this in words.
    """

    pid: int
    command: str
    running: bool
    kernel: str
    done: int
    length: int
    members: tuple[MemberStatus, ...]
    name: str
    process: Process

    def __repr__(self) -> str:
        return f"<TeamStatus {line(self)}; _asdict() has all facts>"

    def _repr_html_(self) -> str:
        return table([self])

    @property
    def owner(self) -> str:
        """Return what people call the process, such as "python train.py (1234)"."""
        return str(self.process)


class TeamStatuses(list[TeamStatus]):
    """A list of teams that is shown as a table, a line for each team."""

    def __repr__(self) -> str:
        return lines(self)

    def _repr_html_(self) -> str | None:
        return table(self) if self else None


def teams() -> TeamStatuses:
    """Return the state of the teams of all processes of this user.

    This reads the shared memory of each team word by word and does not disturb the
    team. So the numbers of one team may be some microseconds apart.

    Returns
    -------
    list of TeamStatus
        Sorted by process number and name; for root, the teams of all users. A terminal
        shows a line for each team, and a notebook a table.

    Examples
    --------
    >>> import os
    >>> import sharray as sh
    >>> with sh.Team(1, name="fields") as team:
    ...     [found] = [one for one in sh.teams() if one.name == "fields"]
    ...     [member.pid for member in found.members] == [os.getpid(), *team.pids()]
    True
    """
    found = TeamStatuses()
    identify = process_names.identifier()
    for fd in memory.find_blocks(LABEL):
        size = files.status(fd).st_size
        # Any program may make a block with this label, so check its size.
        if at.size(1) * _WORD <= size <= _MOST_WORDS * _WORD:
            block = files.read_at(fd, size, 0)
            # It may have shrunk since its size was read.
            if len(block) >= at.size(1) * _WORD:
                whole_words = len(block) // _WORD * _WORD
                words = memoryview(block[:whole_words]).cast("q")
                found += _read_team(words, identify)
    found.sort(key=lambda team: (team.pid, team.name))
    return found


def _read_team(
    words: memoryview[int], identify: Callable[[int], Process]
) -> list[TeamStatus]:
    """Return the team of a block; none if its owner has ended."""
    caller = words[at.CALLER]
    if not processes.is_alive(caller):
        return []  # the workers are about to end, too
    pid = caller >> 32
    running = words[at.GATE] & (at.CLOSED | at.COUNT) != at.CLOSED
    status_of = _member_reader(words, pid, running)
    members = tuple(status_of(number) for number in range(at.members(len(words))))
    team = TeamStatus(
        pid,
        command_lines.command(pid),
        running,
        read_name(words, at.KERNEL_NAME),
        sum(member.done for member in members),
        max(words[at.LENGTH], 0),  # -1 if the loop was not reached
        members,
        read_name(words, at.TEAM_NAME),
        identify(pid),
    )
    return [team]


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


# -- for people --------------------------------------------------------------


def line(team: TeamStatus) -> str:
    """Return the main facts about a team on one line."""
    work = "no run yet"
    if team.kernel:
        verb = "running" if team.running else "ran"
        work = f"{verb} {printable(team.kernel)}, {percent(team)} done"
    return f"team {printable(team.name)} of {team.owner}: {work}; {members(team)}"


def lines(teams: Sequence[TeamStatus]) -> str:
    """Return a line for each team, as a list."""
    return "[" + ",\n ".join(f"<{line(team)}>" for team in teams) + "]"


def table(teams: Sequence[TeamStatus]) -> str:
    """Return a table of teams as HTML."""
    rows = [
        (
            html.text(team.name),
            html.text(team.owner),
            html.text(team.kernel),
            f"{_bar(team)}{percent(team)}" if team.kernel else "",
            html.text(members(team)),
        )
        for team in teams
    ]
    return html.table(count(len(teams), "team"), _HEADER, rows, long=_LONG)


def members(team: TeamStatus) -> str:
    """Return how many members are in each state."""
    states = Counter(member.state for member in team.members)
    return ", ".join(f"{number} {state}" for state, number in sorted(states.items()))


def percent(team: TeamStatus) -> str:
    """Return how much of the run is done, in percent."""
    return f"{int(100 * _part(team))}%"  # 100% only if all is done


def _part(team: TeamStatus) -> float:
    # Nothing is left to do with an empty array. A block may say anything.
    return min(max(team.done / team.length, 0.0), 1.0) if team.length > 0 else 1.0


def _bar(team: TeamStatus) -> str:
    return html.bar(_part(team), colour=html.BLUE if team.running else html.GREEN)
