"""The benchmarks run; how fast things are is not tested, machines differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import Contender
from benchmarks.report import to_json
from benchmarks.tables import Table

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]
TABLES = [
    "opening",
    "handles",
    "handle sizes",
    "a[5]",
    "a[5:9]",
    "a + 1",
    "flushing",
    "stalls",
    "creating",
    "creating and reading",
    "importing",
    "dispatch",
    "dispatch after a pause",
    "elementwise",
    "stencil",
    "transcendental",
    "sum",
    "histogram",
    "scatter-add",
    "starting",
    "compiling",
    "atomics",
    "small",
    "argument, 1 MB",
    "argument and result, 1 MB",
    "argument, read",
    "same array",
    "crossover, argument",
    "crossover, argument and result",
    "memory of workers",
    "memory of messages",
]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    # A process of its own: it leaves a resource tracker behind, as does all that
    # uses multiprocessing.shared_memory.
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=240,
    )


def leftovers() -> list[str]:
    return [
        name
        for directory in ("/dev/shm", "/var/tmp")
        for name in os.listdir(directory)
        if name.startswith("sharray-benchmark-")
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("benchmarks") / "results.json"
    before = leftovers()
    done = run("--quick", "--json", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert leftovers() == before
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_results_say_what_they_were_measured_on(results: dict[str, Any]) -> None:
    assert results["quick"] is True
    for fact in ("cpu", "cores", "kernel", "python", "numpy", "numba"):
        assert results["machine"][fact]


def test_every_contender_was_measured(results: dict[str, Any]) -> None:
    assert [table["name"] for table in results["tables"]] == TABLES
    for table in results["tables"]:
        assert len(table["contenders"]) >= 3
        for contender in table["contenders"]:
            if contender["status"] == "not installed":
                assert contender["name"].startswith("SharedArray.")
                continue
            assert contender["samples"] >= 1
            low, median, high = (contender[n] for n in ("low", "median", "high"))
            assert 0 < low <= median <= high <= contender["worst"]


def test_every_topic_has_goals(results: dict[str, Any]) -> None:
    goals = {table["name"]: table["goals"] for table in results["tables"]}
    assert [name for name, found in goals.items() if not found] == [
        "creating and reading",
        "crossover, argument",
        "crossover, argument and result",
    ]
    for goal in [goal for found in goals.values() for goal in found]:
        assert goal["reached"] is (goal["measured"] <= goal["limit"])


def test_nothing_is_left_behind_after_an_error() -> None:
    before = leftovers()
    done = run("--quick", "--only", "flushing", "--disk", "/dev/shm")
    assert done.returncode != 0
    assert "not on a disk" in done.stderr
    assert leftovers() == before


def test_a_peer_that_is_not_installed_is_shown_as_such() -> None:
    here, missing = Contender("here", lambda: 1.0), Contender("missing", None)
    table = Table.measured("name", "title", [here, missing], rounds=2)
    table.demand("missing", 2, times="here")
    found = json.loads(to_json({}, [table], quick=True))["tables"][0]
    assert found["contenders"][1] == {"name": "missing", "status": "not installed"}
    assert found["goals"] == []
