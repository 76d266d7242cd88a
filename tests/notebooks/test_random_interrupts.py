"""The stop button, at random moments of everything that a cell may be doing.

After each interrupt the kernel answers, the next runs are right, and nothing is left:
no process, descriptor, mapping or file. A failing test prints its seed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import notebook_kernel
import pytest
from notebook_kernel import ROUNDS, Kernel, kernel
from team_tools import LONG, needs_jit, until, until_inside

import sharray as sh

event_loop_of_clients = notebook_kernel.event_loop_of_clients
pytestmark = [needs_jit, pytest.mark.slow]

GATE = "shm://gate"
INTERRUPTS = 50  # of each test

# The endless cells work on `y`. A run that goes on in the background may change it.
SETUP = """
import gc, os, random, re
import numpy as np
import sharray as sh
from pathlib import Path

@sh.kernel
def add(x, amount):
    for i in range(x.shape[0]):
        x[i] += amount

@sh.kernel
def add_in_range(x, amount):
    for i in sh.prange(x.shape[0]):
        x[i] += amount

@sh.kernel
def total(x):
    found = 0.0
    for i in range(x.shape[0]):
        found += x[i]
    return found

@sh.kernel
def hold(x, gate):
    while sh.atomic.load(gate, 1) == 0:
        pass

@sh.kernel
def dawdle(x, gate):
    for i in range(100_000):
        if sh.atomic.load(gate, 1) != 0:
            break

def make(amount):
    @sh.kernel
    def fresh(x):
        for i in range(x.shape[0]):
            x[i] += amount
    return fresh

def count(names):
    return {name: names.count(name) for name in sorted(set(names))}

def left():
    "What can be left behind: counts, since numbers and random names change."
    gc.collect()
    opened = []
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue  # the descriptor of listdir
        if "history.sqlite" not in name:  # IPython's
            opened.append(re.sub(r"\\W[0-9a-f]+\\b|[0-9]+", "", name))
    ram = os.environ["SHARRAY_RAM_DIR"]
    mapped = [
        re.sub(r"[0-9]+", "", line.split(maxsplit=5)[5])
        for line in Path("/proc/self/maps").read_text().splitlines()
        if ".npy" in line or ram in line or "/memfd:sharray" in line
    ]
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "descriptors": count(opened),
        "mapped": len(mapped),
        "in RAM": sum(len(names) for _, _, names in os.walk(ram)),
        "here": sorted(os.listdir()),
        "processes": len(children),
    }

team = sh.Team(2)
x, y = sh.zeros(10_000), sh.zeros(10_000)
gate = sh.open("shm://gate")
held = sh.whole(gate)
"""

ENDLESS = {
    "static": 'while True: team.run(add, y, 1.0, schedule="static")',
    "dynamic": "while True: team.run(add, y, 1.0, chunk=100)",
    "default team": "while True: sh.run(add, y, 1.0)",
    "prange": "while True: team.run(add_in_range, y, 1.0)",
    "reduce": 'while True: team.run(total, y, reduce="sum", chunk=500)',
    "many chunks": "team.run(dawdle, sh.zeros(10**6), held, chunk=1)",
    "progress": "team.run(dawdle, sh.zeros(10**6), held, chunk=1, progress=True)",
    "endless kernel": "team.run(hold, y, held)",
    "endless kernel, static": 'sh.run(hold, y, held, schedule="static")',
    "compile": "while True: team.run(make(random.random()), y)",
    "submit": "while True: team.submit(add, y, 1.0).result()",
    "team": "while True:\n    with sh.Team(1) as other: other.run(add, y, 1.0)",
    "files": """
while True:
    data = sh.create("data.npy", 1000, overwrite=True)
    data[:] = 1
    data.flush()
    sh.list(), sh.inspect(data)
    named = sh.create("shm://named", 1000, overwrite=True)
    sh.unlink("shm://named")
""",
}

CLEAN_UP = """
data = named = other = None
try:
    sh.unlink("shm://named")
except sh.ArrayNotFoundError:
    pass
data = sh.create("data.npy", 10, overwrite=True)  # the cell may not have got there
del data
"""
CHECK = """
x[:] = 0
team.run(add, x, 1.0, timeout=200)
sh.run(add, x, 10.0, timeout=200)
team.run(add_in_range, x, 100.0, timeout=200)
bool((x == 111).all()), team.run(total, x, reduce="sum", timeout=200)
"""


@pytest.fixture
def gate() -> Iterator[Any]:
    yield sh.create(GATE, 2, "i8")
    sh.unlink(GATE)


@pytest.fixture
def notebook(_no_leaks: None, gate: Any, tmp_path: Path) -> Iterator[Kernel]:
    with kernel() as started:
        started.run(SETUP)
        yield started


@pytest.mark.parametrize("number", range(ROUNDS))
def test_interrupts_at_random_moments_leave_a_kernel_that_is_right(
    notebook: Kernel, gate: Any, number: int
) -> None:
    seed = time.time_ns()
    print(f"{seed=}")  # shown if the test fails
    chance = random.Random(seed)
    for name in ENDLESS:  # each opens and makes things at its first time
        interrupt(notebook, gate, name, chance)
    before = notebook.value("left()")
    for name in chance.choices(list(ENDLESS), k=INTERRUPTS):
        print(name)
        interrupt(notebook, gate, name, chance)
        check_nothing_is_left(notebook, before)


def interrupt(notebook: Kernel, gate: Any, name: str, chance: random.Random) -> None:
    """Interrupt a cell a while after its beginning, and check the next runs."""
    gate[0] = 0
    cell = notebook.start(f"sh.atomic.add(gate, 0, 1)\n{ENDLESS[name]}")
    until_inside(gate)
    time.sleep(chance.choice([0, 0.002, 0.02, 0.2]) * chance.random())
    notebook.interrupt()
    done = cell.finish(LONG)
    assert done.error[:1] == ("KeyboardInterrupt",), done  # with all that it printed
    for text in (done.stdout, done.stderr):
        assert "Error" not in text
        assert "ignored" not in text
    notebook.forget_error()
    notebook.run(CLEAN_UP)
    assert notebook.value(CHECK) == (True, 1_110_000.0)


def check_nothing_is_left(notebook: Kernel, before: dict[str, Any]) -> None:
    """Wait until there is no more than before; ended workers may take a while."""
    end = time.monotonic() + LONG
    while (left := notebook.value("left()")) != before:
        assert time.monotonic() < end, f"{left} is left, and there was {before}"


def test_an_interrupt_where_the_code_has_no_line_is_an_error_too() -> None:
    # The list is made by instructions that do not look for signals. So the signal
    # arrives at the jump back.
    cell = """
import _thread, signal
def loop():
    for _ in range(2):
        if not [*map(_thread.interrupt_main, [signal.SIGINT])]:
            pass
loop()
"""
    with kernel() as started:
        done = started.start(cell).finish()
        assert done.error[0] == "KeyboardInterrupt"
        assert done.stdout == done.stderr == ""
        assert "loop" in done.error[2]
        started.run("")


def test_a_submitted_run_goes_on_after_an_interrupt_and_can_be_cancelled(
    notebook: Kernel, gate: Any
) -> None:
    notebook.run("future = team.submit(hold, y, held)")
    cell = notebook.start("sh.atomic.add(gate, 0, 1)\nfuture.result()")
    until_inside(gate)
    notebook.interrupt()
    assert cell.finish(LONG).error[0] == "KeyboardInterrupt"
    notebook.forget_error()
    assert notebook.value("future.running(), future.cancel()") == (True, True)
    until(lambda: notebook.value("future.done()"))
    assert notebook.value("future.cancelled()") is True
    assert notebook.value(CHECK) == (True, 1_110_000.0)
