"""What people do in notebooks: run cells again, interrupt, restart, edit modules.

All through a real Jupyter kernel. Tests share one where they leave it usable.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import notebook_kernel
import pytest
from belongings import files_in_ram
from notebook_kernel import Kernel, kernel
from team_tools import kill, needs_jit, until, until_inside, wait_for_end

import sharray as sh

event_loop_of_clients = notebook_kernel.event_loop_of_clients
pytestmark = [needs_jit, pytest.mark.slow]

# `hold` runs until somebody sets a word of the gate; `short`, at most a millisecond.
SETUP = """
import os
import numpy as np
import sharray as sh

@sh.kernel
def hold(x, gate):
    sh.atomic.add(gate, 0, 1)
    while sh.atomic.load(gate, 1) == 0:
        pass

@sh.kernel
def short(x, gate):
    sh.atomic.add(gate, 0, 1)
    for i in range(1_000_000):
        if sh.atomic.load(gate, 1) != 0:
            break
"""
ADD = """
@sh.kernel
def add(x):
    for i in range(x.shape[0]):
        x[i] += {}
"""


@pytest.fixture(scope="module")
def started() -> Iterator[Kernel]:
    with kernel() as notebook:
        yield notebook


@pytest.fixture
def notebook(started: Kernel, tmp_path: Path, _no_leaks: None) -> Iterator[Kernel]:
    """Return a kernel that has imported sharray, in the directory of this test."""
    started.run(f"%cd -q {tmp_path}")
    started.run(SETUP)
    yield started
    started.run("%reset -f")
    started.run("import sharray.team.default as team; team.close_default_team()")
    started.forget_error()


@pytest.fixture
def own_kernel(_no_leaks: None) -> Iterator[Kernel]:
    """Yield a kernel that the test may end."""
    with kernel() as notebook:
        notebook.run(SETUP)
        yield notebook


# -- cells that are run again ------------------------------------------------


def test_a_kernel_defined_anew_runs_its_new_code_here_and_in_workers(
    notebook: Kernel,
) -> None:
    notebook.run("team, x = sh.Team(1, caller_works=False), sh.zeros(4)")
    call = "team.run(add, x); add(x); x.tolist()"
    notebook.run(ADD.format(1))
    assert notebook.value(call) == [2.0] * 4
    notebook.run(ADD.format(10))
    assert notebook.value(call) == [22.0] * 4


def test_a_kernel_calls_what_the_latest_cell_has_defined(notebook: Kernel) -> None:
    notebook.run("team, x = sh.Team(1, caller_works=False), sh.zeros(4)")
    call = "team.run(add, x); x.tolist()"
    step = "@sh.kernel\ndef step():\n    return {}\n"
    notebook.run(step.format(1.0))
    notebook.run(ADD.format("step()"))
    assert notebook.value(call) == [1.0] * 4
    notebook.run(step.format(10.0))
    assert notebook.value(call) == [11.0] * 4
    notebook.run(ADD.format("step()"))
    assert notebook.value(call) == [21.0] * 4


# -- what a cell shows -------------------------------------------------------


def test_a_run_shows_its_bar_in_the_cell_and_nothing_else(notebook: Kernel) -> None:
    notebook.run(ADD.format(1))
    cell = notebook.run("sh.run(add, sh.zeros(40), chunk=10, progress=True)")
    assert (cell.stdout, cell.stderr) == ("", "")
    assert "class='sharray-progress'" in cell.shown["text/html"]
    assert "40 of 40 elements" in cell.shown["text/html"]
    assert "add: 100%" in cell.shown["text/plain"]
    assert "40/40" in cell.shown["text/plain"]


def test_an_array_at_the_end_of_a_cell_shows_a_card_and_its_values(
    notebook: Kernel,
) -> None:
    shown = notebook.run("sh.ones((3, 2), 'i2')").shown
    assert "class='sharray-card'" in shown["text/html"]
    for text in ("int16", "(3, 2)", "12 B", "RAM, anonymous"):
        assert text in shown["text/html"]
    assert shown["text/plain"].startswith("<SharedArray int16 (3, 2), 12 B in RAM")
    assert "array([[1, 1]" in shown["text/plain"]


def test_a_cell_can_await_a_run(notebook: Kernel) -> None:
    notebook.run("import asyncio; x = sh.zeros(4)" + ADD.format(1))
    notebook.run("await asyncio.wrap_future(sh.submit(add, x))")
    assert notebook.value("x.tolist()") == [1.0] * 4


# -- the interrupt button ----------------------------------------------------


@pytest.mark.parametrize(
    ("made", "kernel_name", "chunk"),
    [("sh.Team(1, caller_works=False)", "hold", 10), ("sh.Team(1)", "short", 1)],
    ids=["a worker that never ends", "many chunks, also here"],
)
def test_the_interrupt_button_ends_a_run_and_the_team_goes_on(
    notebook: Kernel, made: str, kernel_name: str, chunk: int
) -> None:
    gate = sh.create("shm://gate", 2, "i8")
    notebook.run(ADD.format(1))
    notebook.run(f"team, x, gate = {made}, sh.zeros(10**6), sh.open('shm://gate')")
    run = f"team.run({kernel_name}, x, sh.whole(gate), chunk={chunk})"
    cell = notebook.start(run)
    until_inside(gate)
    notebook.interrupt()
    assert cell.finish().error[0] == "KeyboardInterrupt"
    notebook.run("team.run(add, x, timeout=500)")
    assert notebook.value("float(x.min()), float(x.max())") == (1.0, 1.0)
    sh.unlink("shm://gate")


POOL_TASKS = """
import time

def tell_and_wait(array):
    with open({!r}, "a") as file:
        print(len(array), file=file)
    while True:  # a signal that comes just before signal.pause() would not end it
        time.sleep(0.01)
"""


def test_the_interrupt_button_ends_a_map_that_passes_arrays(
    own_kernel: Kernel, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    begun.touch()
    Path("pool_tasks.py").write_text(POOL_TASKS.format(str(begun)))
    own_kernel.run("""
        from multiprocessing import Pool
        from pool_tasks import tell_and_wait
        arrays = [np.ones(10**5)] * 4
        sh.install()
    """)
    cell = own_kernel.start(
        "with Pool(2) as pool: pool.map(tell_and_wait, arrays, chunksize=1)"
    )
    until(lambda: begun.read_text().count("\n") == 2)
    assert own_kernel.stop(cell).error[0] == "KeyboardInterrupt"  # CPython waits
    own_kernel.run("with Pool(2) as pool: sums = pool.map(np.sum, arrays)")
    assert own_kernel.value("[float(one) for one in sums]") == [1e5] * 4


# -- modules that are edited -------------------------------------------------

MODULE = """
import sharray as sh

table = sh.full(3, {0})

@sh.kernel
def add(x):
    for i in range(x.shape[0]):
        x[i] += {0}

class Field:
    def __init__(self, values):
        self.values = values

    def is_right(self):
        return isinstance(self, Field) and isinstance(self.values, sh.SharedArray)

    def step(self):
        return {0}
"""


def test_autoreload_runs_the_new_code_of_a_module_of_kernels(
    notebook: Kernel,
) -> None:
    Path("edited.py").write_text(MODULE.format(1))
    notebook.run("%load_ext autoreload\n%autoreload 2")
    notebook.run("import sys; sys.path.insert(0, os.getcwd())")
    notebook.run("""
        import pickle, edited
        from edited import table
        team, x = sh.Team(1, caller_works=False), sh.zeros(4)
        field, message = edited.Field(x), pickle.dumps(x[1:])
    """)
    call = "team.run(edited.add, x); edited.add(x); x.tolist()"
    assert notebook.value(call) == [2.0] * 4
    Path("edited.py").write_text(MODULE.format(10))  # another length: see importlib
    assert notebook.value(call) == [22.0] * 4
    # As docs/how-to/notebook.md says.
    notebook.run("from edited import add as imported\nx[:] = 0; imported(x)")
    assert notebook.value("x.tolist()") == [10.0] * 4
    Path("edited.py").write_text(MODULE.format(100))
    notebook.run("x[:] = 0; imported(x); edited.add(x); sh.run(edited.add, x)")
    assert notebook.value("x.tolist()") == [210.0] * 4
    notebook.run("from edited import add as imported\nx[:] = 0; imported(x)")
    assert notebook.value("x.tolist()") == [100.0] * 4
    Path("edited.py").write_text(MODULE.format(10))
    notebook.run("x[:] = 22")
    # Arrays, views, handles and what holds them are what they were.
    assert notebook.value("field.is_right(), field.step()") == (True, 10)
    assert notebook.value("isinstance(table, sh.SharedArray), table.is_shared") == (
        True,
        True,
    )
    assert notebook.value("edited.table.tolist()") == [10.0] * 3
    assert notebook.value(
        "view = pickle.loads(message); view[0] = 5; type(view) is type(x), x.tolist()"
    ) == (True, [22.0, 5.0, 22.0, 22.0])
    notebook.run("%autoreload 0\ndel sys.path[0], sys.modules['edited']")


# -- history -----------------------------------------------------------------


def test_an_array_that_was_shown_stays_until_xdel(notebook: Kernel) -> None:
    notebook.run("import pickle; x = sh.zeros(1000); message = pickle.dumps(x)")
    notebook.run("pickle.loads(message)")  # it has arrived in Out and _
    notebook.run("%%time\ny = x[10:]")
    notebook.run("y")
    notebook.run("0")  # now _ is something else
    assert notebook.value("del x, y\n[info.shape for info in sh.list()]") == [(1000,)]
    notebook.run("shown = [one for one in Out.values() if type(one) is sh.SharedArray]")
    notebook.run("loaded, y = shown; del shown\n%xdel loaded\n%xdel y")
    assert notebook.value("sh.list()") == []


def test_an_error_keeps_the_arrays_of_its_frames_until_the_next(
    notebook: Kernel,
) -> None:
    notebook.run("import pickle")
    failing = "def fail(x):\n    pickle.loads(pickle.dumps(x))\n    1 / 0\n"
    cell = notebook.start(failing + "fail(sh.zeros(1000))").finish()
    assert cell.error[0] == "ZeroDivisionError"
    assert len(files_in_ram()) == 1
    notebook.forget_error()
    assert files_in_ram() == []


# -- the end of a kernel -----------------------------------------------------

HOLDING = """
team, x, y = sh.Team(1), sh.zeros(10**6), sh.ones(10**6)
team.run(hold, x, sh.whole(sh.ones(2, "i8")))
print(os.getpid(), *team.pids())
"""


def hold_arrays(notebook: Kernel) -> list[int]:
    """Make arrays in RAM and a team; return the processes."""
    pids = [int(pid) for pid in notebook.run(HOLDING).stdout.split()]
    assert pids[0] == notebook.pid
    assert files_in_ram() != []
    return pids


def test_a_restart_frees_arrays_and_ends_workers(own_kernel: Kernel) -> None:
    pids = hold_arrays(own_kernel)
    own_kernel.restart()
    assert all(wait_for_end(pid) for pid in pids)
    until(lambda: files_in_ram() == [])
    own_kernel.run(SETUP)
    assert own_kernel.value("sh.zeros(3).tolist()") == [0.0] * 3


def test_a_killed_kernel_leaves_no_worker_and_no_array(own_kernel: Kernel) -> None:
    pids = hold_arrays(own_kernel)
    own_kernel.kill()
    assert all(wait_for_end(pid) for pid in pids)
    until(lambda: files_in_ram() == [])


def test_what_a_kernel_leaves_that_is_killed_with_its_workers_goes_with_the_next(
    own_kernel: Kernel,
) -> None:
    _, worker = hold_arrays(own_kernel)
    os.kill(worker, 19)  # it would notice, and clean up
    own_kernel.kill()
    kill(worker)
    assert files_in_ram() != []
    use = "import sharray as sh; sh.zeros(3)"
    subprocess.run([sys.executable, "-c", use], check=True)
    assert files_in_ram() == []
