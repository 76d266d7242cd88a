"""Cells that are run again and edited, notebooks with parameters, and two at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import notebook_kernel
import pytest
from belongings import files_in_ram
from nbclient import NotebookClient
from notebook_kernel import Kernel, kernel
from team_tools import needs_jit, until, until_inside
from traitlets.config import Config

import sharray as sh

event_loop_of_clients = notebook_kernel.event_loop_of_clients
pytestmark = [needs_jit, pytest.mark.slow]


@pytest.fixture
def notebook(_no_leaks: None, tmp_path: Path) -> Iterator[Kernel]:
    with kernel() as started:
        started.run("import os, numpy as np, sharray as sh")
        yield started


@pytest.fixture
def other(notebook: Kernel) -> Iterator[Kernel]:
    with kernel() as started:
        started.run("import sharray as sh")
        yield started


# -- one notebook ------------------------------------------------------------

# A notebook as people write it. {factor} and {offset} are what they edit.
CELLS = [
    "offset = {offset}",
    "@sh.kernel\ndef helper(value):\n    return {factor} * value",
    """
@sh.kernel
def step(x):
    for i in range(x.shape[0]):
        x[i] = helper(x[i]) + offset
""",
    'x = sh.create("x.npy", 1000, "f4", exist_ok=True)\nx[:] = 1',
    'y = sh.create("shm://y", 1000, exist_ok=True)\ny[:] = 1',
    "team = sh.Team(1)",
    "team.run(step, x); sh.run(step, y); step(x); x.flush()",
]
FACTS = "sorted(set(x.tolist())), sorted(set(y.tolist()))"


def workers_of(notebook: Kernel) -> list[str]:
    """Return the worker processes of a notebook."""
    children = Path(f"/proc/{notebook.pid}/task/{notebook.pid}/children").read_text()
    return [pid for pid in children.split() if _is_worker(pid)]


def _is_worker(pid: str) -> bool:
    try:
        return b"sharray-worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return False


def test_all_cells_can_be_run_again_and_edited(notebook: Kernel) -> None:
    counts = set()
    for factor, offset in [(2, 0), (2, 0), (3, 0), (3, 1), (5, 7), (2, 0)]:
        for cell in CELLS:
            notebook.run(cell.format(factor=factor, offset=offset))
        once = float(factor + offset)
        twice = factor * once + offset
        assert notebook.value(FACTS) == ([twice], [once])
        notebook.run("import gc; gc.collect()")
        until(lambda: len(workers_of(notebook)) == notebook.value("1 + os.cpu_count()"))
        counts.add(len(files_in_ram()))
    assert len(counts) == 1
    notebook.run("del x, y, team; sh.unlink('shm://y')")


@pytest.mark.parametrize("edited", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_one_edited_cell_counts_in_the_next_run_for_all_types(
    notebook: Kernel, edited: int, dtype: str
) -> None:
    for cell in CELLS:
        notebook.run(cell.format(factor=2, offset=0))
    notebook.run(CELLS[edited].format(factor=5000, offset=5000))
    notebook.run(f"z = sh.ones(10, '{dtype}'); team.run(step, z)")
    expected = {0: 5002.0, 1: 5000.0, 2: 2.0}[edited]
    assert notebook.value("sorted(set(z.tolist()))") == [expected]
    notebook.run("del x, y; sh.unlink('shm://y')")


def test_a_cell_that_cleans_up_can_be_run_again(notebook: Kernel) -> None:
    clean = 'sh.unlink("shm://y", missing_ok=True); sh.unlink("x.npy", missing_ok=True)'
    notebook.run(clean)
    for cell in CELLS:
        notebook.run(cell.format(factor=2, offset=0))
    notebook.run(clean)
    notebook.run(clean)
    assert os.listdir() == []


def test_another_shape_is_refused_where_one_exists_and_nothing_changes(
    notebook: Kernel,
) -> None:
    notebook.run('x = sh.create("shm://y", 1000, exist_ok=True); x[:] = 3')
    refused = notebook.start('sh.create("shm://y", 10, "f4", exist_ok=True)').finish()
    name, message, _ = refused.error
    assert name == "ArrayExistsError"
    for part in ("shm://y", "(1000,)", "(10,)", "float64", "float32"):
        assert part in message
    assert notebook.value("sorted(set(x.tolist()))") == [3.0]
    notebook.run("del x; sh.unlink('shm://y')")


def test_a_team_that_only_the_history_holds_ends(notebook: Kernel) -> None:
    notebook.run("team = sh.Team(1)\nteam.run(sh.kernel(lambda: None))")
    notebook.run("team")  # now Out has it
    notebook.run("def fail(team):\n    1 / 0")
    assert notebook.start("fail(team)").finish().error[0] == "ZeroDivisionError"
    first = workers_of(notebook)
    assert len(first) == 1
    notebook.run("team = sh.Team(1)")
    until(lambda: len(workers_of(notebook)) == 1 and workers_of(notebook) != first)


# -- papermill, nbconvert: a notebook as a program ----------------------------

PARAMETERS = "length, factor = 10, 2"
INJECTED = "# Parameters\nlength = 1000\nfactor = 5"


async def execute(cells: list[str], place: Path, sockets: Path) -> list[Any]:
    """Execute cells as papermill does; return the texts of their values."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    client = NotebookClient(
        book,
        kernel_name="python3",
        timeout=500,
        resources={"metadata": {"path": str(place)}},
        config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/k"}}),
    )
    environment = os.environ | {"IPYTHONDIR": str(sockets)}
    async with client.async_setup_kernel(env=environment):
        for number, cell in enumerate(book.cells):
            await client.async_execute_cell(cell, number)
    return book.cells[-1].outputs[0]["data"]["text/plain"]


def test_a_notebook_with_parameters_runs_twice_and_leaves_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cells = [
        PARAMETERS,
        INJECTED,
        "import sharray as sh",
        "@sh.kernel\ndef scale(x, factor):\n"
        "    for i in range(x.shape[0]):\n        x[i] *= factor",
        'x = sh.create("x.npy", length, fill_value=1, overwrite=True)',
        "sh.run(scale, x, factor, progress=True)",
        "x.flush()\nlen(x), float(x.min()), float(x.max())",
    ]
    sockets = tmp_path_factory.mktemp("s")
    for _ in range(2):
        assert asyncio.run(execute(cells, tmp_path, sockets)) == "(1000, 5.0, 5.0)"
        until(lambda: files_in_ram() == [])
        assert os.listdir(tmp_path) == ["x.npy"]


# -- two notebooks on one array ----------------------------------------------

COUNT = """
@sh.kernel
def count(x):
    for i in sh.prange(x.shape[0]):
        sh.atomic.add(x, i, 1)

@sh.kernel
def hold(x, gate):
    sh.atomic.add(gate, 0, 1)
    while sh.atomic.load(gate, 1) == 0:
        sh.atomic.add(x, 0, 0)
"""


def test_two_notebooks_count_in_one_array_at_the_same_time(
    notebook: Kernel, other: Kernel
) -> None:
    notebook.run('x = sh.create("shm://counts", 1000, "i8")')
    other.run('x = sh.open("shm://counts")')
    for one in (notebook, other):
        one.run(COUNT + "sh.run(count, x)")
    runs = "for _ in range(500): sh.run(count, x)"
    cells = [one.start(runs) for one in (notebook, other)]
    assert [cell.finish().error for cell in cells] == [(), ()]
    for one in (notebook, other):
        assert one.value("set(x.tolist())") == {1002}
    notebook.run("del x; sh.unlink('shm://counts')")
    assert other.value("x.is_current(), int(x[0])") == (False, 1002)


def test_a_notebook_that_is_killed_in_a_run_leaves_the_array_to_the_other(
    notebook: Kernel, other: Kernel
) -> None:
    gate = sh.create("shm://gate", 2, "i8")
    notebook.run('x = sh.create("shm://counts", 1000, "i8")')
    other.run('x, gate = sh.open("shm://counts"), sh.open("shm://gate")' + COUNT)
    notebook.run(COUNT + "sh.run(count, x)")
    other.start("sh.run(hold, x, sh.whole(gate))")
    until_inside(gate)
    other.kill()
    notebook.run("sh.run(count, x)")
    assert notebook.value("set(x.tolist())") == {2}
    other.restart()
    other.run("import sharray as sh" + COUNT)
    other.run('x = sh.open("shm://counts"); sh.run(count, x)')
    assert notebook.value("set(x.tolist())") == {3}
    sh.unlink("shm://gate")
    sh.unlink("shm://counts")


def test_a_notebook_notices_that_the_other_has_replaced_the_array(
    notebook: Kernel, other: Kernel
) -> None:
    notebook.run('x = sh.create("field.npy", 10, fill_value=1)')
    assert notebook.value("x.is_current()") is True
    other.run('x = sh.create("field.npy", 20, fill_value=2, overwrite=True)')
    assert notebook.value("x.is_current(), x.tolist() == [1.0] * 10") == (False, True)
    card = notebook.run("x").shown["text/html"]
    assert "replaced" in card
    notebook.run('x = sh.open("field.npy")')
    assert notebook.value("x.is_current(), len(x)") == (True, 20)
