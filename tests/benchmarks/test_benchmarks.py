"""The benchmarks run; speed is not tested, since machines differ."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT

from benchmarks.harness import results as results_module
from benchmarks.passing.memory_process import has_pandas
from benchmarks.topics import TOPICS
from benchmarks.topics.many_process import BESIDE, ONE_MORE

pytestmark = pytest.mark.slow

KINDS = ("uniform", "triangular", "heavy-tailed")
TABLES = [
    "opening",
    "handles",
    "handle sizes",
    "a[5]",
    "a[5:9]",
    "a + 1",
    "append 1 KB in RAM",
    "append 1 KB on a disk",
    "append 10 MB",
    "flushing",
    "stalls",
    "creating",
    "creating from contents",
    "small arrays",
    *(f"many, {what}" for what in (*ONE_MORE, *BESIDE, "end")),
    "importing",
    "dispatch",
    "dispatch after a pause",
    "dispatch by size",
    "elementwise",
    "stencil",
    "transcendental",
    "sum",
    "histogram",
    "scatter-add",
    *(f"chunks, {kind} {what}" for kind in KINDS for what in ("kernels", "functions")),
    "calls of a function",
    "images",
    "results",
    "larger, time",
    "larger, bytes read",
    "starting",
    "starting many",
    "replacing",
    "memory of idle workers",
    "compiling",
    "atomics",
    "atomics from Python",
    "argument, 1 MB",
    "argument and result, 1 MB",
    "argument, read",
    *(f"{task}, 4 MB" for task in ("change", "double", "full")),
    "results, kept",
    "same array",
    "crossover, argument",
    "crossover, argument and result",
    "first message",
    "first task",
    "slices",
    "handles of a DataFrame",
    "memory of workers",
]
MAY_BE_MISSING = (
    *("SharedArray.", "NpyAppendArray", "h5py", "tables", "zarr"),
    "a shared DataFrame",  # without pandas
)
WITHOUT_CONTEST = {
    *("handle sizes", "importing", "results", "larger, time", "larger, bytes read"),
    *(name for name in TABLES if name.startswith("chunks, ")),
    *(name for name in TABLES if name.startswith("many, ")),
    *("crossover, argument", "crossover, argument and result"),
    *("dispatch by size", "starting many", "first task", "handles of a DataFrame"),
}


def start(*options: str, **more: Any) -> subprocess.Popen[str]:
    # A process of its own: it leaves a resource tracker behind, as does all that
    # uses multiprocessing.shared_memory.
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def run(*options: str) -> tuple[int, str]:
    with start(*options) as process:
        _, said = process.communicate(timeout=500)
    return process.returncode, said


def leftovers() -> set[str]:
    """Return the leftovers of benchmarks that have ended."""
    return {
        name
        for directory in ("/dev/shm", "/var/tmp")
        for name in os.listdir(directory)
        if name.startswith("sharray-benchmark-")
        and not os.path.exists(f"/proc/{name.split('-')[2]}")
    }


# -- a quick run of everything -----------------------------------------------


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmarks") / "results.json"
    before = leftovers()
    assert run("--quick", "--json", str(path)) == (0, "")
    assert leftovers() - before == set()
    return path


@pytest.fixture(scope="module")
def results(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return found


def test_results_say_what_they_were_measured_on(results: dict[str, Any]) -> None:
    assert results["quick"] is True
    for fact in ("cpu", "cores", "kernel", "python", "numpy", "numba", "date"):
        assert results["machine"][fact]


def test_every_contender_was_measured(results: dict[str, Any]) -> None:
    assert [table["name"] for table in results["tables"]] == TABLES
    assert list(dict.fromkeys(one["topic"] for one in results["tables"])) == [*TOPICS]
    for table in results["tables"]:
        assert len(table["rows"]) >= 2
        for row in table["rows"]:
            if row["missing"]:
                assert row["missing"] == "not installed"
                assert row["name"].startswith(MAY_BE_MISSING)
                continue
            assert row["samples"] >= 1
            low, median, high = (row["found"][n] for n in ("low", "median", "high"))
            assert 0 < low <= median <= high <= row["found"]["worst"]


def test_every_topic_has_targets(results: dict[str, Any]) -> None:
    without = [table["name"] for table in results["tables"] if not table["targets"]]
    assert without == [
        "crossover, argument",
        "crossover, argument and result",
        *([] if has_pandas() else ["handles of a DataFrame"]),
    ]


def test_every_table_with_peers_names_them(results: dict[str, Any]) -> None:
    for table in results["tables"]:
        contest = table["contest"]
        assert (contest is None) is (table["name"] in WITHOUT_CONTEST)
        if contest is not None:
            names = {row["name"] for row in table["rows"]}
            assert contest["peers"]
            assert {contest["ours"], *contest["peers"], *contest["floors"]} <= names


def test_a_file_of_results_is_read_as_it_was_written(output: Path) -> None:
    results_module.write(results_module.read(output), Path("again"))
    assert Path("again").read_text() == output.read_text()


# -- what goes wrong ---------------------------------------------------------


def test_an_unknown_topic_is_refused() -> None:
    status, said = run("--only", "speed")
    assert status == 2
    assert "invalid choice: 'speed'" in said
    assert "opening" in said


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "results.json"):
        status, said = run("--quick", "--only", "handles", "--json", str(path))
        assert (status, said.count("\n")) == (1, 1)
        assert said.startswith(f"benchmarks: cannot write {path}: expected a file")


def test_nothing_is_left_behind_after_an_error() -> None:
    before = leftovers()
    status, said = run("--quick", "--only", "flushing", "--disk", "/dev/shm")
    assert status == 1
    assert said == "benchmarks: /dev/shm is not on a disk: name one with --disk\n"
    assert leftovers() - before == set()


def processes_with(variable: str) -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if variable.encode() in environment:
            found.append(Path(f"/proc/{pid}/cmdline").read_text())
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_behind_when_stopped(number: signal.Signals) -> None:
    before, mark = leftovers(), f"SHARRAY_TEST={uuid.uuid4()}"
    environment = os.environ | dict([mark.split("=")])
    options = ("--quick", "--only", "passing")
    with start(*options, env=environment, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Pool.apply with an argument of" in line:
                break
        assert len(processes_with(mark)) > 5
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=500)
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert processes_with(mark) == []
    assert leftovers() - before == set()
