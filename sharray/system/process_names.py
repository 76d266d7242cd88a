"""Names of processes, as people know them: "this notebook", "worker 3 of team t".

They come from the command line, the environment and the parent of a process, as proc(5)
shows them. A process may write anything there about itself, so names are for people
only: no decision depends on them.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..notebook import ipython
from ..notebook.text import cut, printable
from . import command_lines, processes

PROGRAM = "program"
NOTEBOOK = "notebook"
TEAM_WORKER = "worker"
POOL_WORKER = "pool worker"
WORKER_PROCESS = "worker process"
CHILD = "child process"
_FORKSERVER = "forkserver"
_PLURALS = {
    TEAM_WORKER: "workers",
    POOL_WORKER: "pool workers",
    WORKER_PROCESS: "worker processes",
    CHILD: "child processes",
}

_WORKER_MARK = "sharray-worker"
# Compiled on first use: import is faster.
_SPAWNED = r"from multiprocess(?:ing)?\.spawn import "
_SERVING = r"from multiprocess(?:ing)?\.forkserver import "
_LOKY = "loky.backend.popen_loky_posix"
_KERNELS = ("ipykernel", "ipykernel_launcher", "ipykernel_launcher.py")
_SESSION = b"JPY_SESSION_NAME="  # Jupyter Server sets it to the notebook's path

_LONGEST = 60
_MOST_OWNERS = 8


class Process(NamedTuple):
    """A process, as people know it; its `str` depends on the process that asks.

    Attributes
    ----------
    pid : int
        Its number.
    kind : str
        One of the constants of this module.
    name : str
        A program's command, a notebook's path, or the team of a worker. Printable, and
        at most 60 characters.
    number : int
        Number of a worker among those of its team, from 1.
    owner : Process or None
        The process that it works for, or was forked from.

    Examples
    --------
    >>> train = Process(1234, PROGRAM, "python train.py")
    >>> str(train), str(Process(1240, TEAM_WORKER, "t", 3, train))
    ('python train.py (1234)', 'worker 3 of team t of python train.py (1234)')
    """

    pid: int
    kind: str
    name: str
    number: int = 0
    owner: Process | None = None

    def __str__(self) -> str:
        if self.pid == os.getpid():
            return "this notebook" if ipython.is_notebook() else "this process"
        if self.kind == TEAM_WORKER:
            return f"worker {self.number}{self._belonging()}"
        if self.kind == NOTEBOOK:
            return " ".join(
                filter(None, ("notebook", self.name, f"(kernel {self.pid})"))
            )
        if self.kind == PROGRAM:
            return f"{self.name} ({self.pid})"
        return f"{self.kind} {self.pid}{self._belonging()}"

    def _belonging(self) -> str:
        team = f" of team {self.name}" if self.kind == TEAM_WORKER else ""
        if self.owner is None or (team and self.owner.pid == os.getpid()):
            return team
        return f"{team} of {self.owner}"


def phrases(found: Iterable[Process]) -> list[str]:
    """Return a phrase for each process, this one first, or for workers of one owner.

    Examples
    --------
    >>> train = Process(1234, PROGRAM, "python train.py")
    >>> workers = [Process(1240 + n, TEAM_WORKER, "t", n, train) for n in range(8)]
    >>> phrases([*workers, train])
    ['python train.py (1234)', '8 workers of team t of python train.py (1234)']
    """
    own = os.getpid()
    ordered = sorted(
        found, key=lambda one: (one.pid != own, one.kind in _PLURALS, one.pid)
    )
    groups: dict[object, list[Process]] = {}
    for one in ordered:
        is_alike = one.kind in _PLURALS and one.pid != own
        key = (one.kind, one.name, one.owner) if is_alike else one.pid
        groups.setdefault(key, []).append(one)
    return [_text_of_group(group) for group in groups.values()]


def summary(found: Iterable[Process], most: int) -> str:
    """Return at most so many `phrases` on one line, and the number of the others."""
    texts = phrases(found)
    more = [f"{len(texts) - most} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])


def _text_of_group(group: list[Process]) -> str:
    first = group[0]
    if len(group) == 1:
        return str(first)
    return f"{len(group)} {_PLURALS[first.kind]}{first._belonging()}"


def arguments_of_worker(number: int, team: str) -> list[bytes]:
    """Return the arguments by which `identify` knows a child of this process."""
    words = (_WORKER_MARK, str(number), str(os.getpid()), _tidy(team))
    return [word.encode(errors="replace") for word in words]


def identifier() -> Callable[[int], Process]:
    """Return `identify` with a memory, for one survey of processes."""

    @functools.cache
    def identify(pid: int) -> Process:
        return _identify(pid, identify_owner)

    depth = 0

    def identify_owner(pid: int) -> Process | None:
        nonlocal depth
        is_python = command_lines.is_python(command_lines.words(pid))
        if depth >= _MOST_OWNERS or not is_python:
            return None
        depth += 1
        try:
            return identify(pid)
        finally:
            depth -= 1

    return identify


def identify(pid: int) -> Process:
    """Return what a process is, as far as proc(5) shows it."""
    return identifier()(pid)


def _identify(pid: int, owner: Callable[[int], Process | None]) -> Process:
    words = command_lines.words(pid)
    parent = processes.parent_of(pid)
    original = _forked_from(words, parent)
    if original:
        found = owner(original)
        if found is not None and found.kind == _FORKSERVER:
            return Process(pid, WORKER_PROCESS, "", owner=found.owner)
        if found is not None:
            return Process(pid, CHILD, "", owner=found)
    mark, *facts = words[-4:] if len(words) > 4 else [""]
    if mark == _WORKER_MARK and facts[0].isdecimal() and facts[1] == str(parent):
        number = int(facts[0][:9])
        return Process(pid, TEAM_WORKER, _tidy(facts[2]), number, owner(parent))
    kind = _kind(words)
    if kind == NOTEBOOK:
        return Process(pid, kind, _notebook_path(pid, parent))
    if kind == PROGRAM:
        name = _tidy(command_lines.short(words) or command_lines.command(pid))
        return Process(pid, kind, name or "process")
    return Process(pid, kind, "", owner=owner(parent))


def _forked_from(words: list[str], parent: int) -> int:
    """Return the topmost ancestor with the same command line; 0 if there is none.

    A fork has its parent's command line.
    """
    found = 0
    while words and parent > 1 and command_lines.words(parent) == words:
        found, parent = parent, processes.parent_of(parent)
    return found


def _kind(words: list[str]) -> str:
    if not command_lines.is_python(words):
        return PROGRAM
    option, value, _ = command_lines.parse(words)
    if option == "-c" and re.match(_SPAWNED, value):
        return WORKER_PROCESS
    if option == "-c" and re.match(_SERVING, value):
        return _FORKSERVER
    if option == "-m" and (value == _LOKY or value.endswith(f".{_LOKY}")):
        return POOL_WORKER
    if option != "-c" and os.path.basename(value) in _KERNELS:
        return NOTEBOOK
    return PROGRAM


def _tidy(text: str) -> str:
    return cut(printable(" ".join(text.split())), _LONGEST)


def _notebook_path(pid: int, parent: int) -> str:
    """Return the path of the notebook that started a kernel; empty if nobody knows.

    Programs that a notebook starts inherit its variable, and so do kernels of those
    programs. Their parent then has the same value.
    """
    value = _session(pid)
    path = os.fsdecode(value)
    if not path.endswith(".ipynb") or value == _session(parent):
        return ""
    if not os.path.isfile(path):
        return ""  # it has another name by now
    home = os.path.expanduser("~") + "/"
    return _tidy(f"~/{path.removeprefix(home)}" if path.startswith(home) else path)


def _session(pid: int) -> bytes:
    try:
        content = command_lines.read(pid, "environ")
    except OSError:
        return b""
    for variable in content.split(b"\0"):
        if variable.startswith(_SESSION):
            return variable.removeprefix(_SESSION)
    return b""
