"""The notebooks of this project, interrupted in a cell, and run again."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import notebook_kernel
import pytest
from belongings import files_in_ram
from notebook_kernel import ROUNDS, Cell, Kernel, kernel
from repository import ROOT
from team_tools import LONG, needs_jit, until

import sharray as sh

event_loop_of_clients = notebook_kernel.event_loop_of_clients
pytestmark = [needs_jit, pytest.mark.slow]

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SIMULATION, WATCHING = "3a-simulation", "3b-watching"
INTERRUPTS = min(ROUNDS, 3)  # in each notebook, in its slowest cells
# Parts of cells that wait in CPython: for an executor, a pool, a process or a thread.
WAITS_OF_CPYTHON = "Executor|Pool\\(|workers.submit|measure_both\\(|start\\(|join\\("
THREADS = (
    "import threading; [t.name for t in threading.enumerate()].count('simulation')"
)


def cells_of(name: str) -> list[str]:
    """Return the code of a notebook; its simulation lasts two seconds."""
    found = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))
    sources = ["".join(c["source"]) for c in found["cells"] if c["cell_type"] == "code"]
    return [source.replace("LASTS = 300", "LASTS = 2") for source in sources]


def run_all(notebook: Kernel, cells: list[str]) -> list[float]:
    """Run all cells; return how long each took."""
    took = []
    for cell in cells:
        start = time.monotonic()
        notebook.run(cell)
        took.append(time.monotonic() - start)
    return took


def interrupt(notebook: Kernel, cells: list[str], number: int, after: float) -> Cell:
    """Run the cells up to one, and interrupt that after some seconds.

    A cell that waits in CPython may need the button again. It loses signals, and a
    worker that is interrupted in the middle of a message leaves the others a broken
    pipe, and ``with ProcessPoolExecutor`` waits for them.
    """
    for cell in cells[:number]:
        notebook.run(cell)
    running = notebook.start(cells[number])
    running.begin()
    time.sleep(after)
    if re.search(WAITS_OF_CPYTHON, cells[number]):
        return notebook.stop(running)
    notebook.interrupt()
    return running.finish(LONG)


@contextmanager
def simulation_for(name: str) -> Iterator[None]:
    """Let a simulation run where a notebook needs one: it goes on for long."""
    with ExitStack() as stack:
        if name == WATCHING:
            notebook = stack.enter_context(kernel())
            for cell in cells_of(SIMULATION)[:-3]:
                notebook.run(cell.replace("LASTS = 2", "LASTS = 10**6"))
        yield


def cells_that_do_not_stop_it(name: str) -> list[str]:
    """Return the code of a notebook without the cell that ends the simulation."""
    return cells_of(name)[:-1] if name == WATCHING else cells_of(name)


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_again_after_an_interrupt_in_a_cell(
    name: str, tmp_path: Path
) -> None:
    seed = time.time_ns()
    print(f"{seed=}")  # shown if the test fails
    chance = random.Random(seed)
    cells = cells_that_do_not_stop_it(name)
    with simulation_for(name), kernel() as notebook:
        took = run_all(notebook, cells)
        slowest = sorted(range(len(cells)), key=took.__getitem__)[-INTERRUPTS:]
        for number in slowest:
            print(f"cell {number}")
            after = chance.random() * took[number]
            interrupt(notebook, cells, number, after)
            run_all(notebook, cells)
        notebook.restart()
        run_all(notebook, cells)
    check_nothing_is_left()


def check_nothing_is_left() -> None:
    """Remove what a simulation leaves that did not run to its end, and nothing else.

    Call `sh.gc`, as the next new array does: the button ends workers of pools, and the
    arrays that they were the last to hold stay until then.
    """
    for info in sh.list():
        if not info.anonymous:
            sh.unlink(info.name)
    until(lambda: (sh.gc(), files_in_ram())[1] == [])


def test_running_the_simulation_again_leaves_one_of_them(tmp_path: Path) -> None:
    begin = cells_of(SIMULATION)[:-3]  # until it runs
    begin[0] = begin[0].replace("LASTS = 2", "LASTS = 10**6")
    with kernel() as notebook:
        for _ in range(3):
            run_all(notebook, begin)
            until(lambda: notebook.value(THREADS) == 1)
        interrupt(notebook, cells_of(SIMULATION), 0, 0)
        assert notebook.value(THREADS) == 1
        ends = cells_of(SIMULATION)[-3]
        assert ends.startswith("try:\n")
        tell = "\n    open('inside', 'w').close()"
        last = notebook.start(ends.replace("try:", f"try:{tell}", 1))
        until(Path("inside").exists)
        # The stop button ends the simulation. The cell waits in CPython.
        assert notebook.stop(last).error[0] == "KeyboardInterrupt"
        until(lambda: notebook.value(THREADS) == 0)
        run_all(notebook, cells_of(SIMULATION))
    assert files_in_ram() == []


def test_two_users_of_the_simulation_do_not_clash(tmp_path: Path) -> None:
    cells = cells_of(SIMULATION)
    with kernel() as one, kernel() as other:
        for cell in cells:
            running = [notebook.start(cell) for notebook in (one, other)]
            for done in running:
                assert done.finish(LONG).error == ()
        for notebook in (one, other):
            assert notebook.value("stopped, control['running'].item()") == (
                False,
                False,
            )
    assert os.listdir() == []
    assert files_in_ram() == []


def test_a_simulation_that_is_restarted_can_be_watched_again(tmp_path: Path) -> None:
    begin = cells_of(SIMULATION)[:-3]
    begin[0] = begin[0].replace("LASTS = 2", "LASTS = 10**6")
    with kernel() as simulating, kernel() as watching:
        for _ in range(2):
            run_all(simulating, begin)
            run_all(watching, cells_of(WATCHING))
        simulating.restart()
        run_all(simulating, begin)
        run_all(watching, cells_of(WATCHING))
    check_nothing_is_left()
