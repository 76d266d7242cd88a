"""Kernels that are restarted, killed or left during runs: no process, no file is left.

A failing test prints its seed.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import notebook_kernel
import pytest
from belongings import files_in_ram
from notebook_kernel import ROUNDS, Kernel, Running, kernel
from team_tools import (
    let_go,
    needs_jit,
    until,
    until_inside,
    wait_for_end,
)

import sharray as sh

event_loop_of_clients = notebook_kernel.event_loop_of_clients
pytestmark = [needs_jit, pytest.mark.slow, pytest.mark.torture]

ENDS = 10  # of each test

SETUP = """
import os, random
import sharray as sh

@sh.kernel
def add(x):
    for i in range(x.shape[0]):
        x[i] += 1

@sh.kernel
def hold(x, gate):
    while sh.atomic.load(gate, 1) == 0:
        pass

def make(amount):
    @sh.kernel
    def fresh(x):
        for i in range(x.shape[0]):
            x[i] += amount
    return fresh

gate = sh.open("gate.npy")
held = sh.whole(gate)
team, x = sh.Team(2), sh.ones(10**5)
team.run(add, x, timeout=200)
sh.run(add, x, timeout=200)
float(x.min()), float(x.max())
"""
BUSY = {
    "runs": "while True: team.run(add, x)",
    "endless kernel": "team.run(hold, x, held)",
    "default team": "sh.run(hold, x, held)",
    "submitted": "team.submit(hold, x, held).result()",
    "in the background": "future = team.submit(hold, x, held)",
    "compile": "while True: team.run(make(random.random()), x)",
    "new team": "while True:\n    with sh.Team(1) as other: other.run(add, x)",
    "arrays": "while True: y = sh.ones(10**5); team.run(add, y)",
    "file": "while True: sh.create('data.npy', 10**4, overwrite=True).flush()",
}


def restart(notebook: Kernel, cell: Running, gate: Any) -> None:
    notebook.restart()


def kill(notebook: Kernel, cell: Running, gate: Any) -> None:
    notebook.kill()
    notebook.restart()


def leave(notebook: Kernel, cell: Running, gate: Any) -> None:
    """End the cell, and run `exit` in the next one; it waits for submitted runs."""
    notebook.interrupt()
    cell.finish()
    notebook.start("exit()")
    let_go(gate)
    notebook.wait_for_end()
    notebook.restart()


@pytest.fixture
def gate() -> Any:
    return sh.create("gate.npy", 2, "i8")


@pytest.fixture
def notebook(_no_leaks: None, gate: Any, tmp_path: Path) -> Iterator[Kernel]:
    with kernel() as started:
        yield started


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, by any of its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_kernel_that_ends_during_a_run_leaves_nothing(
    notebook: Kernel, gate: Any, number: int
) -> None:
    seed = time.time_ns()
    print(f"{seed=}")  # shown if the test fails
    chance = random.Random(seed)
    ends: list[Callable[[Kernel, Running, Any], None]] = [restart, kill, leave]
    for _ in range(ENDS):
        name, end = chance.choice(list(BUSY)), chance.choice(ends)
        print(name, end.__name__)
        assert notebook.value(SETUP) == (3.0, 3.0)
        gate[:] = 0
        cell = notebook.start(f"sh.atomic.add(gate, 0, 1)\n{BUSY[name]}")
        until_inside(gate)
        time.sleep(chance.choice([0, 0.02, 0.2]) * chance.random())
        pids = [notebook.pid, *children_of(notebook.pid)]
        assert len(pids) >= 5, "two teams of two workers"
        end(notebook, cell, gate)
        check_nothing_is_left(pids, was_killed=end is kill)


def check_nothing_is_left(pids: list[int], *, was_killed: bool) -> None:
    assert all(wait_for_end(pid) for pid in pids)
    if was_killed:  # perhaps while it made a file: the next program removes that
        sh.gc()
    until(lambda: files_in_ram() == [])
    assert set(os.listdir()) <= {"gate.npy", "data.npy"}
