"""`teams`: the state of teams, seen from other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import workers

import sharray as sh
from sharray.system import files, memory
from sharray.team.control import layout as at
from sharray.team.control.page import LABEL

pytestmark = pytest.mark.slow


@sh.kernel
def wait_for(word: Any, x: Any) -> None:
    for i in range(x.shape[0]):
        sh.atomic.add(word, 0, 1)
        while sh.atomic.load(word, 1) == 0:
            pass
        x[i] += 1


def own_teams() -> list[sh.TeamStatus]:
    return [team for team in sh.teams() if team.pid == os.getpid()]


def test_a_team_that_has_done_nothing() -> None:
    before = len(own_teams())
    with sh.Team(2) as team:
        [found] = own_teams()[before:]
        assert (found.running, found.kernel, found.done) == (False, "", 0)
        assert [one.pid for one in found.members] == [os.getpid(), *team.pids()]
        assert {one.state for one in found.members} <= {"waiting", "asleep"}
        with open("/proc/self/cmdline", "rb") as file:
            assert found.command == file.read().decode().replace("\0", " ").rstrip()
    assert len(own_teams()) == before


def test_a_run_is_seen_from_another_process() -> None:
    word, x = sh.zeros(2, "i8"), sh.zeros(8)
    with sh.Team(2, caller_works=False) as team:
        done = team.submit(wait_for, sh.whole(word), x, chunk=2)
        while sh.atomic.load(word, 0) < 2:  # both workers are inside
            os.sched_yield()
        code = "import sharray as sh, sys\n"
        code += "print([t._replace(process=None)._asdict() for t in sh.teams() "
        code += "if t.pid == int(sys.argv[1])])\n"
        code += "print('numba' in sys.modules)"
        seen = workers.start_python(code, str(os.getpid()))
        assert seen.returncode == 0, seen.stderr
        [found] = own_teams()
        told = found._asdict() | {"process": None}
        assert seen.stdout == f"{[told]}\nFalse\n"
        assert (found.running, found.kernel) == (True, "wait_for")
        assert (found.done, found.length) == (0, 8)
        expected = [sh.MemberStatus(pid, "working", 0) for pid in team.pids()]
        assert list(found.members) == expected
        sh.atomic.store(word, 1, 1)
        done.result()
        [found] = own_teams()
        assert (found.running, found.done) == (False, 8)
        assert sum(one.done for one in found.members) == 8
    assert x.tolist() == [1] * 8


def test_a_worker_that_was_killed_is_gone_until_the_next_run() -> None:
    x = sh.zeros(8)
    with sh.Team(1, caller_works=False) as team:
        [pid] = team.pids()
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        [found] = own_teams()
        assert found.members == (sh.MemberStatus(pid, "gone", 0),)
        team.run(add_one, x)
        [found] = own_teams()
        [member] = found.members
        assert [member.pid] == team.pids() != [pid]


@sh.kernel
def add_one(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += 1


LONG_NAME = "ä" * 60  # more bytes than there is room for


def test_long_names_are_cut_between_characters() -> None:
    def function(x: Any) -> None:
        x[:] = 1

    function.__name__ = function.__qualname__ = LONG_NAME
    with sh.Team(1) as team:
        team.run(sh.kernel(function), sh.zeros(3))
        assert own_teams()[-1].kernel == LONG_NAME[:32]


@pytest.mark.parametrize("nbytes", [0, 8, 100, 100_000])
def test_blocks_that_are_none_of_ours_are_passed_over(
    nbytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = os.memfd_create(LABEL)
    try:
        os.write(fd, np.random.default_rng(1).bytes(nbytes))
        assert fd_is_found(fd)
        # Other tests have teams at the same time.
        monkeypatch.setattr(memory, "find_blocks", lambda _: iter([fd]))
        assert sh.teams() == []
    finally:
        os.close(fd)


def fd_is_found(fd: int) -> bool:
    inode = os.fstat(fd).st_ino
    return inode in [os.fstat(one).st_ino for one in memory.find_blocks(LABEL)]


def test_a_team_whose_process_was_killed_is_no_team() -> None:
    code = "import sharray as sh, sys\nteam = sh.Team(1)\nprint(flush=True)\n"
    code += "sys.stdin.read()"
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process.pid in [team.pid for team in sh.teams()]
        process.kill()
    assert process.pid not in [team.pid for team in sh.teams()]


@pytest.mark.parametrize("left", [0, 8, 1000, at.size(1) * 8])
def test_a_block_that_shrinks_while_it_is_read_is_passed_over(
    left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = os.memfd_create(LABEL)
    try:
        os.truncate(fd, at.size(3) * 8)
        monkeypatch.setattr(memory, "find_blocks", lambda _: iter([fd]))
        read_at = files.read_at

        def shrink_and_read(fd: int, nbytes: int, offset: int) -> bytes:
            os.truncate(fd, left)
            return read_at(fd, nbytes, offset)

        monkeypatch.setattr(files, "read_at", shrink_and_read)
        assert sh.teams() == []
        assert os.fstat(fd).st_size == left
    finally:
        os.close(fd)
