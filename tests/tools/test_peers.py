"""The programs that run peers' suites find tests that sharray makes worse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest
from peers import __main__ as all_peers
from peers import command, comparing, running
from peers.cpython import suites
from peers.reporting import shuffled
from peers.running import Runner
from peers.suite import Record, Records, Suite, of_pytest
from repository import TESTS

FAILING = """
import os, unittest
from sharray.passing.options import State

class Failing(unittest.TestCase):
    def test_always(self):
        self.fail()

    def test_dies(self):
        os._exit(3)

    def test_installed(self):
        self.assertIsNone(State.options)

    def test_installed_after_others(self):
        if getattr(unittest, "others", False):
            self.assertIsNone(State.options)

    def test_leaves_a_file(self):
        path = os.path.join(os.environ["SHARRAY_RAM_DIR"], "left")
        if State.options is not None:
            open(path, "w").close()

    def test_once(self):
        if not os.path.exists("{mark}"):
            open("{mark}", "w").close()
            self.fail()

    def test_passes(self):
        unittest.others = True

    def test_skipped(self):
        if State.options is not None:
            self.skipTest("here only")
"""
# "passes" before "installed_after_others", then "dies", then "leaves_a_file".
SEED = 10
HANGING = """
import threading, unittest

class Hanging(unittest.TestCase):
    def test_hangs(self):
        threading.Event().wait()

    def test_passes(self):
        pass
"""
# Prints the ids of its process and of its child; neither ends.
STARTING = """
import multiprocessing, os, signal, unittest

class Starting(unittest.TestCase):
    def test_starts(self):
        child = multiprocessing.get_context("spawn").Process(target=signal.pause)
        child.start()
        with open("{fifo}", "w") as file:
            print(os.getpid(), child.pid, file=file)
        signal.pause()
"""
PROGRAM = """
import sys
from pathlib import Path
from peers import command
from peers.suite import Suite

modules = {{"modules": ["made"]}}
suite = Suite("made", "peers.unittest_program", modules, path=(Path("{directory}"),))
sys.exit(command.main("", lambda *_: [suite], []))
"""
FOR_PYTEST = """
import os, pytest
from sharray.passing.options import State

@pytest.fixture
def broken():
    raise OSError

def test_dies():
    os._exit(3)

def test_installed():
    assert State.options is None

def test_needs_what_is_broken(broken):
    pass

@pytest.mark.parametrize("value", [1, 2])
def test_passes(value):
    pass

@pytest.mark.skip
def test_skipped():
    pass
"""


def suite_of(text: str, directory: Path) -> Suite:
    """Return a suite of one unittest module with this text."""
    (directory / "made.py").write_text(text)
    options = {"modules": ["made"]}
    return Suite("made", "peers.unittest_program", options, path=(directory,))


def suite_of_pytest(text: str, directory: Path) -> Suite:
    """Return a suite of one pytest module with this text."""
    (directory / "made.py").write_text(text)
    return of_pytest("made", ["made.py"], directory)


def outcomes_of(found: Records) -> dict[str, str]:
    """Return the outcomes of tests, by the last part of their names."""
    return {name.split(".")[-1]: record.outcome for name, record in found.items()}


@pytest.mark.slow
def test_a_test_that_is_worse_with_sharray_is_told_from_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = suite_of(FAILING.replace("{mark}", str(tmp_path / "mark")), tmp_path)
    runner = Runner(tmp_path, SEED)
    found = runner.run(suite, 0)
    assert outcomes_of(found) == {
        "test_always": "failed",
        "test_dies": "died",
        "test_installed": "failed",
        "test_installed_after_others": "failed",
        "test_leaves_a_file": "passed",
        "test_once": "failed",
        "test_passes": "passed",
        "test_skipped": "skipped",
        "its environment": "passed",
        "its end": "failed",
    }
    (tmp_path / "mark").unlink()
    _, worse = command.run_and_compare(suite, runner, 0)
    assert {name.rpartition(".")[2].removeprefix("made: ") for name in worse} == {
        "test_installed",
        "test_installed_after_others",
        "test_skipped",
        "its end",
    }
    assert (
        "worse, but not each time: made: made.Failing.test_once"
        in capsys.readouterr().out
    )


@pytest.mark.slow
def test_a_test_that_hangs_is_ended_and_those_after_it_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "HANGS_AFTER", 10.0)
    found = Runner(tmp_path).run(suite_of(HANGING, tmp_path), 0)
    assert outcomes_of(found) == {
        "test_hangs": "hung",
        "test_passes": "passed",
        "its environment": "passed",
        "its end": "passed",
    }


@pytest.mark.slow
def test_suites_of_pytest(tmp_path: Path) -> None:
    suite = suite_of_pytest(FOR_PYTEST, tmp_path)
    found = Runner(tmp_path).run(suite, 0)
    assert {name.rpartition(":")[2]: r.outcome for name, r in found.items()} == {
        "test_dies": "died",
        "test_installed": "failed",
        "test_needs_what_is_broken": "failed",
        "test_passes[1]": "passed",
        "test_passes[2]": "passed",
        "test_skipped": "skipped",
        "its end": "passed",
    }


class Runs:
    """The results of each run, for `comparing.differences`."""

    def __init__(self, installed: list[Record], plain: list[Record]) -> None:
        self.left = {True: installed, False: plain}

    def __call__(self, installed: bool, only: Collection[str] | None) -> Records:
        return {"test": self.left[installed].pop(0)}


def verdict(installed: list[Record], plain: list[Record]) -> bool | None:
    """Return whether a test is worse, None if it never seemed so; use all runs."""
    runs = Runs(installed[1:], plain)
    found = comparing.differences({"test": installed[0]}, runs)
    assert runs.left == {True: [], False: []}
    return found[0].is_real if found else None


def took(*seconds: float) -> list[Record]:
    return [Record("passed", seconds=value) for value in seconds]


GOOD, BAD = Record("passed"), Record("failed")


@pytest.mark.parametrize(
    ("installed", "plain", "is_worse"),
    [
        (took(3.9), [], None),
        (took(9), took(5), None),
        (took(4.1, 4.1, 4.1), took(0.1, 0.1, 0.1), True),
        (took(9, 9, 9), took(4, 3, 4), True),
        # It fails neither each time alone, nor again after the others.
        (took(9, 9, 7, 7), took(4, 4, 4, 4), False),
        (took(9, 1, 1), took(4, 4), False),
        # It fails only after the others.
        (took(9, 1, 9), took(1, 1, 1), True),
        (took(9, 1, 9), took(1, 1, 8), False),
        ([BAD], [BAD], None),
        ([BAD, BAD, BAD], [GOOD, GOOD, GOOD], True),
        ([BAD, BAD, GOOD], [GOOD, BAD], False),
        ([BAD, GOOD, BAD], [GOOD, GOOD, GOOD], True),
        ([BAD, GOOD, BAD], [GOOD, GOOD, BAD], False),
        ([Record("skipped")], [Record("skipped")], None),
    ],
)
def test_the_rule(
    installed: list[Record], plain: list[Record], is_worse: bool | None
) -> None:
    assert verdict(installed, plain) is is_worse


def test_an_order_is_the_same_whatever_is_left_out() -> None:
    tests = [f"{module}/{number}" for module in "abc" for number in range(5)]

    def order(of: list[str]) -> list[str]:
        return shuffled(of, lambda test: test.split("/"), SEED)

    found = order(tests)
    assert sorted(found) == tests != found
    modules = [test[0] for test in found]
    assert modules == sorted(modules, key=modules.index)
    assert order(tests[::2]) == [test for test in found if test in tests[::2]]


def test_all_suites_of_cpython_have_a_probe(tmp_path: Path) -> None:
    for name in suites.NAMES:
        suite, said = suites.find(name, tmp_path)
        assert suite is not None or "NOT RUN" in said
        if suite is not None:
            assert suite.options["modules"][0] == "peers.cpython.probe"
            assert len(suite.options["modules"]) > 1


@pytest.mark.parametrize(
    ("program", "status", "last"),
    [
        ("print('3 passed, 0 failed')", 0, "3 passed, 0 failed"),
        ("print('3 passed, 1 failed'); raise SystemExit(1)", 1, "3 passed, 1 failed"),
        ("print('3 passed, 0 failed'); raise SystemExit(1)", 1, "3 passed, 1 failed"),
        ("print('0 passed, 0 failed')", 1, "0 passed, 1 failed"),
        ("", 1, "0 passed, 1 failed"),
        ("import os; os.abort()", 1, "0 passed, 1 failed"),
    ],
)
def test_the_command_sums_up(
    program: str,
    status: int,
    last: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "peers"
    (place / "made").mkdir(parents=True)
    (place / "made" / "run.py").write_text(f"import sys\n{program}")
    monkeypatch.setattr(all_peers, "HERE", place)
    assert all_peers.main([]) == status
    assert capsys.readouterr().out.splitlines()[-1] == last
    assert all_peers.main(["made"]) == status
    with pytest.raises(SystemExit, match="expected names of peers, made, or all"):
        all_peers.main(["other"])


def is_running(pid: int) -> bool:
    """Return whether a process still runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.slow
def test_the_command_ends_all_processes_when_it_is_told_to_end(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "made.py").write_text(STARTING.format(fifo=fifo))
    program = PROGRAM.format(directory=str(tmp_path))
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
        cwd=TESTS,
        stdout=subprocess.DEVNULL,
    )
    pids = [int(pid) for pid in fifo.read_text().split()]
    child.terminate()
    assert child.wait() == 128 + signal.SIGTERM
    assert not any(map(is_running, pids))
    assert os.listdir(tmp_path / "tmp") == []
