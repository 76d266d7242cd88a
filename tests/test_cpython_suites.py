"""CPython's own tests of multiprocessing pass with sharray installed.

With a threshold of 0: each message of theirs goes through shared memory. Set
``SHARRAY_CPYTHON_SUITES=all`` to run all of them, a quarter of an hour, instead of
those that are most about messages; ``tests/cpython/run.py`` also compares with how
they run without sharray.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cpython import running, suites
from cpython.run import Session, real
from cpython.running import TORTURE, Records

ALL = os.environ.get("SHARRAY_CPYTHON_SUITES") == "all"
CLASSES = {
    "fork": [
        "WithProcessesTestConnection",
        "WithProcessesTestPoolWorkerErrors",
        "WithProcessesTestQueue",
        "WithManagerTestContainers",
        "TestForkAwareThreadLock",  # after messages of the one above
        "TestSimpleQueue",
    ],
    "spawn": ["WithProcessesTestSubclassingProcess", "TestSimpleQueue"],
    "forkserver": ["WithProcessesTestConnection"],
    "futures": ["ProcessPoolForkInitializerTest", "ProcessPoolSpawnAsCompletedTest"],
}


@pytest.mark.slow
@pytest.mark.timeout(0 if ALL else 600)
@pytest.mark.parametrize("suite", suites.NAMES)
def test_no_test_of_cpython_fails_only_with_sharray(suite: str, tmp_path: Path) -> None:
    patterns = ["*"] if ALL else [f"*.{name}.*" for name in CLASSES[suite]]
    patterns.append(f"{suites.PROBE}.*")
    session = Session([suite], tmp_path, tmp_path, tuple(patterns))
    if not session.modules:
        pytest.skip(" ".join(session.said))
    found: Records = {}
    for name in session.modules:
        found |= session.run(name, TORTURE)
    ran = [test for test, record in found.items() if record.outcome == "passed"]
    # The probe is two, and each module says that it has ended well.
    assert len(ran) > 2 * len(session.modules) + 2
    assert real(session.compare(TORTURE, found, {})) == []


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

    def test_leaves_a_file(self):
        path = os.path.join(os.environ["SHARRAY_RAM_DIR"], "left")
        if State.options is not None:
            open(path, "w").close()

    def test_once(self):
        if not os.path.exists("{mark}"):
            open("{mark}", "w").close()
            self.fail()

    def test_passes(self):
        pass
"""


HANGING = """
import threading, unittest

class Hanging(unittest.TestCase):
    def test_hangs(self):
        threading.Event().wait()

    def test_passes(self):
        pass
"""


def session_of(text: str, directory: Path) -> Session:
    """Of one module, with this text."""
    (directory / "made.py").write_text(text)
    session = Session([], directory, directory)
    session.modules["made"] = suites.Module("made", ())
    return session


@pytest.mark.slow
def test_a_test_that_fails_only_installed_is_told_from_others(tmp_path: Path) -> None:
    session = session_of(FAILING.replace("{mark}", str(tmp_path / "mark")), tmp_path)
    found = session.run("made", TORTURE)
    outcomes = {name: record.outcome for name, record in found.items()}
    assert outcomes == {
        "made: Failing.test_always": "failed",
        "made: Failing.test_dies": "died",
        "made: Failing.test_installed": "failed",
        "made: Failing.test_leaves_a_file": "passed",
        "made: Failing.test_once": "failed",
        "made: Failing.test_passes": "passed",
        "made: its environment": "passed",
        "made: its end": "failed",
    }
    differing = session.compare(TORTURE, found, {})
    assert {d.test.partition(": ")[2]: d.verdict for d in differing} == {
        "Failing.test_always": "fails plain, too",
        "Failing.test_dies": "fails plain, too",
        "Failing.test_installed": "REAL",
        "Failing.test_once": "flaky",
        "its end": "REAL",
    }
    assert len(real(differing)) == 2


@pytest.mark.slow
def test_a_test_that_hangs_is_ended_and_those_after_it_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "HANGS_AFTER", 10.0)
    found = session_of(HANGING, tmp_path).run("made", TORTURE)
    assert {name: record.outcome for name, record in found.items()} == {
        "made: Hanging.test_hangs": "hung",
        "made: Hanging.test_passes": "passed",
        "made: its environment": "passed",
        "made: its end": "passed",
    }
