"""Code shared by the tests of teams: waiting, and inspecting processes."""

from __future__ import annotations

import gc
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest
from belongings import files_in_ram
from repository import PYTHON_PATH

import sharray as sh
from sharray.kernels.jit import is_disabled
from sharray.team.control import layout as at

__all__ = ["SIGCONT", "SIGSTOP", "is_disabled"]

# Long enough for any machine; a test waits this long only if something is wrong.
LONG = 200.0

needs_jit = pytest.mark.skipif(is_disabled(), reason="runs where numba compiles")


def team_of(workers: int, **options: Any) -> Any:
    """Return a fixture: a team that serves all tests of a module."""

    @pytest.fixture(scope="module", name="team")
    def started() -> Iterator[sh.Team]:
        with sh.Team(workers, **options) as team:
            yield team

    return started


def each_team() -> Any:
    """Return a fixture: teams of workers, of a worker and the caller, of the caller."""
    sizes = {"workers": (2, False), "and caller": (1, True), "caller": (0, True)}

    @pytest.fixture(scope="module", params=sizes)
    def started(request: pytest.FixtureRequest) -> Iterator[sh.Team]:
        workers, caller_works = sizes[request.param]
        with sh.Team(workers, caller_works=caller_works) as team:
            yield team

    return started


def teams_of(*sizes: tuple[int, bool]) -> Any:
    """Return a fixture: teams of so many workers, whose caller works or does not."""

    @pytest.fixture(scope="module")
    def started() -> Iterator[list[sh.Team]]:
        with ExitStack() as stack:
            yield [
                stack.enter_context(sh.Team(workers, caller_works=caller_works))
                for workers, caller_works in sizes
            ]

    return started


@pytest.fixture(autouse=True)
def settled(_no_leaks: None) -> Iterator[None]:
    """Wait until workers have unmapped the arrays that a test has dropped.

    Workers get the command at once, but nobody waits until they have carried it out.
    The last process removes the file. A module imports this fixture to use it.
    """
    yield
    gc.collect()
    end = time.monotonic() + LONG
    while files_in_ram() and time.monotonic() < end:
        time.sleep(0.001)


def until(condition: Callable[[], object], seconds: float = LONG) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.001)


def until_inside(gate: Any, n: int = 1) -> None:
    """Wait until so many chunks of `hold` have begun."""
    until(lambda: sh.atomic.load(gate, 0) >= n)


def let_go(gate: Any) -> None:
    """Let all chunks of `hold` end."""
    sh.atomic.store(gate, 1, 1)


def path_of(array: Any) -> str:
    """Return the file of an array, which may be anonymous."""
    return str(array._root.segment.path)


def maps(pid: int, path: str) -> bool:
    """Return whether a process has a file mapped."""
    return path in Path(f"/proc/{pid}/maps").read_text()


def state_of(pid: int) -> str:
    """Return the state of a process, one letter: see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def ticks_of(pid: int) -> int:
    """Return the CPU time of a process, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wait_for_end(pid: int, seconds: float = LONG) -> bool:
    """Wait for the end of any process, which may become a zombie."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


def kill(pid: int, signal_number: int = 9) -> None:
    """Kill a worker, and wait until it is dead; the team reaps it."""
    os.kill(pid, signal_number)
    assert wait_for_end(pid)


@contextmanager
def stopped_from_hanging(gate: Any) -> Iterator[None]:
    """End `hold` after a while in any case, so that a failing test ends."""
    timer = threading.Timer(LONG, let_go, [gate])
    timer.start()
    try:
        yield
    finally:
        let_go(gate)
        timer.cancel()
        timer.join()


def start(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a program that can import the tests' modules."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": PYTHON_PATH} | environment,
    )


@contextmanager
def program(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Yield such a program; kill it at the end if it still runs."""
    with start(code, *arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def until_open(team: Any) -> None:
    """Wait until a run of the team has begun: its gate is open."""
    words = team._members.crew.control.words
    until(lambda: words[at.GATE] & at.CLOSED == 0)
