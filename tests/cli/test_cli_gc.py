"""``sharray gc``, and `sharray.gc` that only looks."""

from __future__ import annotations

import os
import pickle

from cli_tools import call, orphan, run
from workers import run_python

import sharray as sh
from sharray.storage import location


def test_a_dry_run_shows_what_would_be_removed_and_removes_nothing() -> None:
    path = orphan()
    assert sh.gc(dry_run=True) == [path]
    # As a command of its own, which at its end could remove what nobody holds.
    done = run("gc", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"would remove {path} (16.0 KiB)\n"
    assert call("gc", "--dry-run", "--json").json == {
        "dry_run": True,
        "arrays": [{"path": path, "nbytes": 16384}],
    }
    assert os.path.exists(path)


def test_what_nobody_holds_is_removed() -> None:
    # The first anonymous array of a process removes what nobody holds, too.
    held = sh.ones(3)
    handle = pickle.dumps(held)
    path = orphan()
    # What a process leaves that is killed before an array has its name.
    unfinished = os.path.join(location.ram_directory(), ".name.0.new")
    with open(unfinished, "wb") as file:
        file.write(bytes(4096))
    named = sh.create("shm://named", 3)
    done = call("gc")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"removed {path} (16.0 KiB)",
        f"removed {unfinished} (4.0 KiB)",
        "2 arrays, 20.0 KiB",
    ]
    assert not os.path.exists(path)
    assert not os.path.exists(unfinished)
    assert pickle.loads(handle).sum() == 3
    assert [found.name for found in sh.list()][1:] == ["shm://named"]
    assert call("gc").out == "There is nothing to remove.\n"
    assert call("gc", "--json").json == {"dry_run": False, "arrays": []}
    sh.unlink("shm://named")
    del named


def test_a_handle_under_way_keeps_an_array_from_being_removed() -> None:
    a = sh.ones(3)
    handle = pickle.dumps(a)
    del a
    assert sh.gc(dry_run=True) == []
    assert call("gc").code == 0
    assert pickle.loads(handle).sum() == 3


FORKS = """
import os, signal
from multiprocessing.reduction import ForkingPickler
import sharray as sh
child = os.fork()
if child == 0:
    sent = ForkingPickler.dumps(sh.ones(3))
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)
print(*[found.name for found in sh.list()])
"""


def test_a_process_with_children_still_removes_what_one_of_them_has_left() -> None:
    assert run_python(FORKS).startswith("shm://.anonymous/")
    assert sh.list() == []
