"""Teams that a cell has made before: they end, unless something still holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import notebook_kernel
import pytest
from notebook_cells import SETUP
from notebook_kernel import Kernel, kernel
from team_tools import needs_jit, wait_for_end

import sharray as sh

event_loop_of_clients = notebook_kernel.event_loop_of_clients
pytestmark = [needs_jit, pytest.mark.slow]


ADD_ONE = "team.run(add, x, timeout=500)"


@pytest.fixture(scope="module")
def started() -> Iterator[Kernel]:
    with kernel() as started:
        yield started


@pytest.fixture
def notebook(started: Kernel, _no_leaks: None) -> Iterator[Kernel]:
    """Return a kernel that all of these tests share."""
    sh.create("shm://gate", 2, "i8")
    started.run(SETUP + "import builtins as builtins_; gate[:] = 0")
    yield started
    started.run("%reset -f")
    started.run("import sharray.team.default as team; team.close_default_team()")
    started.start("1 / 0").finish()
    started.run("import gc; gc.collect()")
    sh.unlink("shm://gate")


def workers_of(notebook: Kernel) -> list[int]:
    found: list[int] = notebook.value("team.pids()")
    return found


@pytest.mark.parametrize(
    "cell",
    [
        "team = sh.Team(1)",
        "team = sh.Team(1)\nteam",
        "team = sh.Team(1)\n[team][0]",
        "def fail():\n    global team\n    own = team = sh.Team(1)\n    1 / 0\nfail()",
        "team = sh.Team(1)\nteam.run(fail, x)",
        "new = sh.Team(1)\nnew.run(add, x)\nteam = new\ndel new\nteam",
    ],
    ids=["variable", "Out", "Out and list", "frame", "frames of the team", "later"],
)
def test_a_cell_that_runs_again_ends_its_workers(notebook: Kernel, cell: str) -> None:
    notebook.run("@sh.kernel\ndef fail(x):\n    raise ValueError")
    notebook.start(cell).finish()
    before = workers_of(notebook)
    notebook.start(cell).finish()
    assert all(wait_for_end(pid) for pid in before)
    notebook.run(ADD_ONE)
    assert set(before).isdisjoint(workers_of(notebook))
    if "\nteam" in cell and "run" not in cell:
        notebook.run("olds = [one for one in Out.values() if isinstance(one, sh.Team)]")
        error = notebook.start("olds[0].run(add, x)").finish().error
        assert error[0] == "TeamError"
        assert "only the history of the notebook held it" in error[1]


def test_the_first_run_of_the_new_team_ends_the_old_one(notebook: Kernel) -> None:
    notebook.run("team = sh.Team(1)\nteam")
    before = workers_of(notebook)
    look = f"old = [pid for pid in {before} if os.path.exists('/proc/%d' % pid)]"
    notebook.run(f"team = sh.Team(1)\n{ADD_ONE}\n{look}")
    assert notebook.value("old") == []


@pytest.mark.parametrize(
    "hold",
    [
        "held = [team]",
        "held = {'team': team}",
        "held = team.run",
        "other = team",
        "held = lambda team=team: team",
        "def hold(team):\n    return lambda: team\nheld = hold(team)",
        "def hold(team):\n    yield\n    team.size\nheld = hold(team)\nnext(held)",
        # Its frame is in the traceback of the last error, and goes on nevertheless.
        "def hold(team):\n    try:\n        1 / 0\n"
        "    except ZeroDivisionError as error:\n        yield error\n    team.size\n"
        "held = hold(team)\ncause = next(held)",
        "async def hold(team):\n    await event.wait()\n    team.size\n"
        "import asyncio; event = asyncio.Event()\n"
        "held = asyncio.create_task(hold(team))\n"
        "await asyncio.sleep(0)",
        "def hold(team):\n    go_on.wait()\n    team.size\n"
        "go_on = threading.Event()\n"
        "held = threading.Thread(target=hold, args=(team,)); held.start()",
        "future = team.submit(endless, x, sh.whole(gate))",
        "class Holder: pass\nheld = Holder(); held.team = team",
        "import builtins; builtins.held = team",
        "os.held = team",
    ],
)
def test_a_team_that_is_held_elsewhere_goes_on(notebook: Kernel, hold: str) -> None:
    """Whatever holds it, and whatever the history has besides."""
    notebook.run("team = sh.Team(1)\nteam")
    before = workers_of(notebook)
    notebook.run(hold)
    fail = "def f(team):\n    raise ValueError from globals().get('cause')\n"
    assert notebook.start(f"{fail}team\nf(team)").finish().error[0] == "ValueError"
    notebook.run(f"team = sh.Team(1)\n{ADD_ONE}\nteam")
    notebook.run("0")
    assert [pid for pid in before if os.path.exists(f"/proc/{pid}")] == before
    notebook.run("gate[1] = 1")
    if "threading" in hold:
        notebook.run("go_on.set(); held.join()")
    if "asyncio" in hold:
        notebook.run("event.set(); await held")
    notebook.run("if hasattr(os, 'held'): del os.held")
    notebook.run("if hasattr(builtins_, 'held'): del builtins_.held")
    notebook.run("%reset -f")
    notebook.run(SETUP + "import builtins as builtins_; gate[:] = 0")
