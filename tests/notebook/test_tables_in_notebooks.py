"""Arrays, teams and their processes, as a real Jupyter kernel shows them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import notebook_kernel
import pytest
from notebook_kernel import Kernel, kernel
from team_tools import needs_jit

import sharray as sh

event_loop_of_clients = notebook_kernel.event_loop_of_clients
pytestmark = [needs_jit, pytest.mark.slow]

SETUP = """
import os
import sharray as sh

@sh.kernel
def add(x):
    for i in range(x.shape[0]):
        x[i] += 1

x = sh.create("shm://run7/velocity", 10)
team = sh.Team(2, name="t")
team.run(add, x)
"""


@pytest.fixture
def notebook(_no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """Yield the kernel of a notebook, as Jupyter Server starts it."""
    Path("lab.ipynb").write_text("{}")
    monkeypatch.setenv("HOME", os.getcwd())
    monkeypatch.setenv("JPY_SESSION_NAME", os.path.abspath("lab.ipynb"))
    with kernel() as found:
        found.run(SETUP)
        yield found
        found.run("team.close(); sh.unlink('shm://run7/velocity')")


def test_the_kernel_and_others_name_its_processes(notebook: Kernel) -> None:
    here = "sorted(holder.name for holder in sh.inspect(x).holders)"
    workers = [f"worker {number} of team t" for number in (1, 2)]
    assert notebook.value(here) == ["this notebook", *workers]
    named = f"notebook ~/lab.ipynb (kernel {notebook.pid})"
    found = sh.inspect("shm://run7/velocity").holders
    assert sorted(holder.name for holder in found) == [
        named,
        *(f"{worker} of {named}" for worker in workers),
    ]
    [team] = [team for team in sh.teams() if team.pid == notebook.pid]
    assert (team.name, team.owner) == ("t", named)
    assert notebook.value("[t.owner for t in sh.teams() if t.pid == os.getpid()]") == [
        "this notebook"
    ]


def test_cells_show_tables_and_short_lines(notebook: Kernel) -> None:
    line = "shm://run7/velocity: float64 (10,), 80 B, held by this notebook, "
    line += "2 workers of team t"
    shown = notebook.run("sh.list()").shown
    assert shown["text/plain"] == f"[<{line}>]"
    assert "class='sharray-table'" in shown["text/html"]
    assert "this notebook, 2 workers of team t" in shown["text/html"]
    shown = notebook.run("sh.inspect(x)").shown
    assert shown["text/plain"] == f"<Inspection {line}; _asdict() has all facts>"
    assert "class='sharray-card'" in shown["text/html"]
    assert "this notebook<br>2 workers of team t" in shown["text/html"]
    shown = notebook.run("sh.teams()").shown
    assert "<team t of this notebook: ran add, " in shown["text/plain"]
    assert "class='sharray-table'" in shown["text/html"]
    assert "this notebook" in notebook.run("x").shown["text/html"]


def test_a_pool_works_for_the_notebook(notebook: Kernel) -> None:
    notebook.run("""
        from multiprocessing import get_context
        from sharray.system.process_names import identify
        with get_context("spawn").Pool(1) as pool:
            pid = pool.apply(os.getpid)
            name = str(identify(pid))
    """)
    pid, name = notebook.value("pid, name")
    assert name == f"worker process {pid} of this notebook"
