"""Ctrl-C, and the sudden end of the process that has a team."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import team_tools
from belongings import files_in_ram
from repository import ROOT, TESTS
from team_tools import program, state_of, until, wait_for_end

settled = team_tools.settled
pytestmark = team_tools.needs_jit

SETUP = """
import os, sys, threading
import numpy as np
import sharray as sh
from team_kernels import add, hold, increment
from team_tools import until_inside

@sh.kernel
def many_chunks(x, gate):
    sh.atomic.add(gate, 0, 1)
    for i in range(20_000_000):
        if sh.atomic.load(gate, 1) != 0:
            break

def main(team):
    x, gate = sh.zeros(100_000), sh.zeros(2, "i8")
    team.run(increment, x)
    hold.compile(x, gate), many_chunks.compile(x, gate)
    print(*team.pids(), flush=True)

    def tell():
        until_inside(gate)
        print("inside", flush=True)

    thread = threading.Thread(target=tell)
    thread.start()
    RUN
    thread.join()
    for schedule in ("static", "dynamic"):
        team.run(increment, x, schedule=schedule, timeout=500)
    x[...] = 0
    team.run(increment, x, timeout=500)
    print((x == 1).all(), *team.pids(), flush=True)
    team.close()
"""
INTERRUPTED = """try:
        {}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    else:
        print("came to its end", flush=True)"""
RUNS = {
    "hold": "team.run(hold, x, sh.whole(gate), chunk=50_000)",
    "many": "team.run(many_chunks, x, sh.whole(gate), chunk=1)",
}


def run_until_inside(process: Any) -> list[int]:
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert process.stdout.readline() == "inside\n", process.stderr.read()
    return pids


@pytest.mark.parametrize(
    ("made", "run"),
    [
        ("sh.Team(2, caller_works=False)", "hold"),
        ("sh.Team(2, caller_works=False)", "many"),
        ("sh.Team(1)", "many"),
        ("sh.Team(0)", "many"),
    ],
)
def test_ctrl_c_ends_a_run_and_the_team_goes_on(made: str, run: str) -> None:
    code = SETUP.replace("RUN", INTERRUPTED.format(RUNS[run])) + f"main({made})"
    with program(code) as process:
        pids = run_until_inside(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=500)
    assert (process.returncode, err) == (0, "")
    first, last = out.splitlines()
    assert first == "interrupted"
    assert last.split()[0] == "True"
    later = [int(pid) for pid in last.split()[1:]]
    assert all(wait_for_end(pid) for pid in {*pids, *later})


def test_ctrl_c_that_is_not_caught_ends_the_program_and_its_workers() -> None:
    code = SETUP.replace("RUN", RUNS["hold"])
    with program(code + "main(sh.Team(2, caller_works=False))") as process:
        pids = run_until_inside(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=500)
    assert process.returncode in (130, -signal.SIGINT)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert len(pids) == 2
    assert all(wait_for_end(pid) for pid in pids)


def test_ctrl_c_in_a_terminal_does_not_reach_workers() -> None:
    code = SETUP.replace("RUN", INTERRUPTED.format(RUNS["hold"]))
    with program(code + "main(sh.Team(1, caller_works=False))") as process:
        pids = run_until_inside(process)
        for pid in pids:
            assert os.getpgid(pid) != os.getpgid(process.pid)
            os.kill(pid, signal.SIGINT)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=500)
    assert err == ""
    assert out.startswith("interrupted\nTrue")


@pytest.mark.parametrize("when", ["idle", "asleep", "inside"])
@pytest.mark.parametrize("caller_works", [True, False])
def test_workers_end_with_a_process_that_is_killed(
    when: str, caller_works: bool
) -> None:
    run = RUNS["hold"] if when == "inside" else "gate[0] = 1; sys.stdin.read()"
    code = SETUP.replace("RUN", run)
    with program(code + f"main(sh.Team(2, caller_works={caller_works}))") as process:
        pids = run_until_inside(process)
        if when == "asleep":
            until(lambda: all(state_of(pid) == "S" for pid in pids))
        process.kill()
        process.wait(500)
        process.communicate(timeout=500)
    assert len(pids) == 2
    assert all(wait_for_end(pid) for pid in pids)
    until(lambda: files_in_ram() == [])


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemExit(4)"])
def test_a_program_that_does_not_close_its_team_ends_all_the_same(end: str) -> None:
    code = """
import sys
import sharray as sh
from team_kernels import add
team, x = sh.Team(2), sh.zeros(1000)
team.run(add, x, 1.0)
sh.run(add, x, 1.0)
future = sh.submit(add, x, 1.0)
print(*team.pids(), flush=True)
"""
    with program(code + end) as process:
        out, err = process.communicate(timeout=500)
    assert err == ""
    assert process.returncode == {"": 0, "sys.exit(3)": 3}.get(end, 4)
    pids = [int(pid) for pid in out.split()]
    assert len(pids) == 2
    assert all(wait_for_end(pid) for pid in pids)


PLAIN = """
import sys, pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--tb=short", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_without_numba_plain_python_does_the_same() -> None:
    files = ["arguments", "prange", "reduce", "random", "plans"]
    paths = [str(TESTS / "team" / f"test_team_{name}.py") for name in files]
    process = team_tools.start(
        PLAIN, "--rootdir", str(ROOT), *paths, NUMBA_DISABLE_JIT="1"
    )
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, out[-5000:] + err
