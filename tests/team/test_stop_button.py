"""The stop button of a notebook: it ends every run, and nothing goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import notebook_kernel
import pytest
from notebook_cells import SETUP
from notebook_kernel import Kernel, kernel
from team_tools import needs_jit, until, until_inside

import sharray as sh

event_loop_of_clients = notebook_kernel.event_loop_of_clients
pytestmark = [needs_jit, pytest.mark.slow]

# numba takes seconds to compile it.
LONG = """
line = "    x[{0}] = np.sin(x[{0}]) + np.float64({0}) ** x[0]\\n"
body = "".join(map(line.format, range(300)))
source = "def long(x):\\n" + body
Path("long_kernel.py").write_text("import numpy as np\\n" + source)
import sys
sys.path.insert(0, os.getcwd())
from long_kernel import long
py_long, long = long, sh.kernel(long)
"""


@pytest.fixture
def notebook(_no_leaks: None) -> Iterator[Kernel]:
    """Return a kernel with kernels that run until somebody sets a word."""
    sh.create("shm://gate", 2, "i8")
    with kernel() as started:
        started.run(SETUP)
        yield started
    sh.unlink("shm://gate")


def check_that_all_is_well(notebook: Kernel) -> None:
    """Run something on the default team, and on the one that was interrupted."""
    notebook.run("y = sh.zeros(1000); sh.run(add, y, timeout=500)")
    assert notebook.value("float(y.min()), float(y.max())") == (1.0, 1.0)


@pytest.mark.parametrize(
    "run",
    [
        "sh.run(endless, x, sh.whole(gate))",
        "sh.run(endless, x, sh.whole(gate), schedule='static')",
        "sh.run(ranged, x, gate)",
        "sh.run(endless, sh.whole(x), sh.whole(gate))",
        "sh.Team(1).run(endless, x, sh.whole(gate))",
        "sh.run(endless, np.zeros(1000), sh.whole(gate), copy=True)",
        "sh.submit(endless, x, sh.whole(gate)).result()",
    ],
)
def test_it_ends_a_kernel_that_never_does(notebook: Kernel, run: str) -> None:
    gate = sh.open("shm://gate")
    cell = notebook.start(run)
    until_inside(gate)
    notebook.interrupt()
    found = cell.finish()
    assert found.error[0] == "KeyboardInterrupt"
    if "submit" in run:
        assert "the submitted run of kernel 'endless' goes on" in found.error[2]
        notebook.run("gate[1] = 1")  # the run that was submitted ends
    check_that_all_is_well(notebook)


def test_the_caller_only_waits(notebook: Kernel) -> None:
    """A crash ends a worker, and the notebook keeps its variables."""
    notebook.run("team, own, both = sh.Team(2), sh.Team(0), sh.Team(caller_works=True)")
    assert notebook.value("len(team.pids()), team.size, own.size") == (2, 2, 1)
    assert notebook.value("len(both.pids()) + 1 == both.size")
    notebook.run("from sharray.team.default import default_team as default")
    assert notebook.value("default().size == len(default().pids())")


def test_a_compilation_goes_on_and_the_next_run_uses_it(notebook: Kernel) -> None:
    notebook.run("from pathlib import Path\n" + LONG)
    notebook.run("""
        def tell():
            while not background._under_way:
                pass
            Path("compiling").touch()
        telling = threading.Thread(target=tell)
        telling.start()
    """)
    cell = notebook.start("sh.run(long, sh.whole(x))")
    until(Path("compiling").exists)
    notebook.interrupt()
    found = cell.finish()
    assert found.error[0] == "KeyboardInterrupt"
    assert "the compilation of kernel 'long' goes on" in found.error[2]
    # It is still going on: it takes seconds.
    assert notebook.value("len(background._under_way), len(long.shipped)") == (1, 0)
    notebook.run("telling.join(); sh.run(long, sh.whole(x))")
    assert notebook.value("len(background._under_way), len(long.shipped)") == (0, 1)
    assert notebook.value("y = np.zeros(1000); py_long(y); bool((x == y).all())")


def test_a_fork_waits_for_the_compilation(notebook: Kernel) -> None:
    notebook.run("from pathlib import Path\nimport multiprocessing as mp\n" + LONG)
    notebook.run("""
        @sh.kernel
        def other(x):
            for i in range(x.shape[0]):
                x[i] *= 2
        def child():
            y = sh.ones(3)
            other(y)
            assert y.tolist() == [2.0] * 3
        def interrupt():
            while not background._under_way:
                pass
            os.kill(os.getpid(), 2)
        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
    """)
    assert notebook.start("sh.run(long, sh.whole(x))").finish().error
    notebook.run("process = mp.get_context('fork').Process(target=child)")
    notebook.run("process.start(); process.join()")
    assert notebook.value("process.exitcode") == 0


def test_cancel_ends_a_submitted_run(notebook: Kernel) -> None:
    gate = sh.open("shm://gate")
    notebook.run("future = sh.submit(endless, x, sh.whole(gate))")
    notebook.run("waiting = sh.submit(add, x)")
    until_inside(gate)
    assert notebook.value("waiting.cancel(), waiting.cancelled()") == (True, True)
    assert notebook.value("future.cancel()") is True
    assert notebook.start("future.result()").finish().error[0] == "CancelledError"
    assert notebook.start("future.exception()").finish().error[0] == "CancelledError"
    assert notebook.value("future.cancelled(), future.done()") == (True, True)
    assert notebook.value("future.cancel()") is True
    check_that_all_is_well(notebook)
