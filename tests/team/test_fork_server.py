"""Workers that are forked from a prepared interpreter."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import team_tools
from team_kernels import increment
from team_tools import LONG, kill, program, until, wait_for_end

import sharray as sh
from sharray.storage.lifetime import transit
from sharray.system import command_lines, processes
from sharray.team.functions import threads
from sharray.team.workers import fork_server, forking
from sharray.team.workers.fork_server import ForkServer

settled = team_tools.settled


def server_of(team: Any) -> ForkServer:
    server = team._members.crew._server
    if server is None:
        pytest.skip("there is no fork server here")
    return server


def servers() -> list[ForkServer]:
    return [one for one in fork_server._servers.values() if one is not None]


def check_usable(team: Any) -> None:
    x = sh.zeros(1000)
    team.run(increment, x, schedule="static", timeout=LONG)
    assert x.tolist() == [1] * 1000


@pytest.fixture(autouse=True)
def _no_other_fork_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget those that tests of other modules have refused."""
    monkeypatch.setattr(fork_server, "_servers", {})


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with sh.Team(2) as team:
        server_of(team)
        yield team


def test_workers_are_children_in_process_groups_of_their_own(two: Any) -> None:
    for pid in two.pids():
        assert processes.parent_of(pid) == os.getpid()
        assert os.getpgid(pid) == pid
        assert os.getsid(pid) == os.getsid(0)
    check_usable(two)


def test_the_command_line_names_the_worker(two: Any) -> None:
    for number, pid in enumerate(two.pids(), 1):
        words = command_lines.words(pid)[-4:]
        assert words == ["sharray-worker", str(number), str(os.getpid()), two.name]


def test_a_worker_has_no_socket_but_its_channel(two: Any) -> None:
    for pid in two.pids():
        table = Path(f"/proc/{pid}/fd")
        targets = [os.readlink(link) for link in table.iterdir()]
        assert sum(target.startswith("socket:") for target in targets) == 1
        assert sum(target.endswith("[pidfd]") for target in targets) <= 1  # its parent


def test_teams_share_a_fork_server_that_ends_with_the_last(two: Any) -> None:
    server = server_of(two)
    with sh.Team(1, name="other") as other:
        assert server_of(other) is server
        two.close()
        assert server._process.poll() is None
        check_usable(other)
    assert server._process.returncode == 0
    assert servers() == []


def test_a_dead_worker_is_replaced_by_another_fork(two: Any) -> None:
    server, before = server_of(two), two.pids()
    for pid in before:
        kill(pid)
    check_usable(two)
    assert server_of(two) is server
    assert not set(before) & set(two.pids())


def test_a_killed_fork_server_is_replaced(two: Any) -> None:
    server, pids = server_of(two), two.pids()
    os.kill(server._process.pid, signal.SIGKILL)
    assert wait_for_end(server._process.pid)
    check_usable(two)
    assert two.pids() == pids  # its death has not touched them
    kill(pids[0])
    check_usable(two)
    assert two.pids() != pids
    with sh.Team(1) as other:
        assert server_of(other) is server_of(two) is not server


def test_if_it_dies_in_a_request_the_worker_is_a_new_interpreter(
    two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, pids = server_of(two), two.pids()
    kill(pids[0])
    kill(server._process.pid)
    # As if it had died after the look at it.
    monkeypatch.setattr(ForkServer, "has_ended", False)
    check_usable(two)
    assert server.has_failed
    assert len(set(two.pids()) - set(pids)) == 1


def test_another_environment_takes_another_fork_server(
    two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARRAY_TEST", "new")
    with sh.Team(1) as other:
        assert server_of(other) is not server_of(two)
        assert other.run(os.getenv, "SHARRAY_TEST") == "new"
    kill(two.pids()[0])
    kill(two.pids()[1])
    assert two.run(os.getenv, "SHARRAY_TEST") == "new"  # of the one that starts now


def test_workers_search_the_path_of_now(
    two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    with sh.Team(1) as other:
        (tmp_path / "written_later.py").write_text("def ask(): return 7\n")
        from written_later import ask

        assert other.run(ask) == 7
        assert other.run(lambda: sys.path[0]) == str(tmp_path)


def test_workers_with_several_threads_are_new_interpreters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with sh.Team(1) as team:
        assert team._members.crew._server is None
        check_usable(team)
    assert not fork_server._servers


def test_libraries_that_start_threads_lead_to_new_interpreters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(threads, "has_one", lambda _: True)
    if not _blas_has_threads():
        pytest.skip("this BLAS starts no threads")
    for _ in range(2):
        with sh.Team(1) as team:
            assert team._members.crew._server is None
            check_usable(team)
    assert list(fork_server._servers.values()) == [None]


def _blas_has_threads() -> bool:
    code = "import numpy, os; print(len(os.listdir('/proc/self/task')))"
    with program(code) as process:
        return int(process.communicate(timeout=LONG)[0]) > 1


def test_output_goes_where_this_process_writes_now(two: Any, tmp_path: Path) -> None:
    before, file = os.dup(2), os.open(tmp_path / "errors", os.O_CREAT | os.O_WRONLY)
    os.dup2(file, 2)
    try:
        with sh.Team(1, caller_works=False) as other:
            assert server_of(other) is server_of(two)
            other.run(lambda: os.write(2, b"from a worker") and None)
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(file)
    assert (tmp_path / "errors").read_text() == "from a worker"


def _draws(x: Any) -> tuple[float, float, int]:
    return random.random(), float(np.random.random()), next(transit._serials)


def test_workers_draw_different_random_numbers() -> None:
    with sh.Team(2, caller_works=False) as team:
        server_of(team)
        found = team.map(_draws, sh.zeros(64), chunk=1)
    assert all(len({draw[n] for draw in found}) == 64 for n in range(3))


def test_a_generator_that_came_with_the_fork_is_seeded_again() -> None:
    random.seed(0)
    np.random.seed(0)
    expected = random.random(), np.random.random()
    random.seed(0)
    np.random.seed(0)
    forking._forget_random_numbers()
    assert not {random.random(), np.random.random()} & set(expected)


def test_a_worker_is_a_family_of_its_own(two: Any) -> None:
    two.close()
    with sh.Team(1, caller_works=False) as team:
        server_of(team)
        assert team.run(processes.is_topmost) is True
        assert team.run(lambda: threading.main_thread().native_id) in team.pids()


_OWNER = """
import os, sys, sharray as sh
team = sh.Team(2)
server = team._members.crew._server
pid = os.fork() if sys.argv[1] == "fork" else 1
if pid == 0:
    os.read(0, 1)  # keeps the socket open
    os._exit(0)
print(*team.pids(), server and server._process.pid, flush=True)
os.read(0, 1) if sys.argv[1] != "fork" else os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("way", ["alone", "fork"])
def test_if_its_owner_is_killed_all_end(way: str) -> None:
    with program(_OWNER, way) as owner:
        assert owner.stdout is not None
        words = owner.stdout.readline().split()
        if words[-1] == "None":
            pytest.skip("there is no fork server here")
        pids = [int(word) for word in words]
        watches = [os.pidfd_open(pid) for pid in pids]
        owner.kill()
        for pid, watch in zip(pids, watches, strict=True):
            assert wait_for_end(pid)
            os.close(watch)


def test_a_fork_of_the_owner_leaves_it_alone(two: Any) -> None:
    server = server_of(two)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with sh.Team(1) as own:
                alone = server_of(own) is not server and len(servers()) == 1
                code = 0 if alone and own.run(os.getppid) == os.getpid() else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    kill(two.pids()[0])
    check_usable(two)
    assert server_of(two) is server


def test_threads_that_start_teams_at_the_same_time_share_it() -> None:
    found: list[Any] = []

    def start() -> None:
        team = sh.Team(1)
        found.append(team)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(found) == 4
        assert len({id(server_of(team)) for team in found}) == 1
        for team in found:
            check_usable(team)
    finally:
        for team in found:
            team.close()
    until(lambda: servers() == [])
