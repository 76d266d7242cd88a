"""``sharray bench``: it finds the benchmarks, runs them, and says what is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_tools import TIMEOUT, refusal, run
from repository import ROOT

pytestmark = pytest.mark.slow

REPOSITORY = ROOT
QUICK = ("bench", "--quick", "--only", "handles")


def from_here(**variables: str) -> dict[str, str]:
    """Variables with which a process finds the checkout wherever it is."""
    return os.environ | {"PYTHONPATH": str(REPOSITORY)} | variables


def test_bench_measures_and_writes_what_it_found() -> None:
    done = run(*QUICK, "--output", "new/results", env=from_here())
    assert (done.returncode, done.stderr) == (0, "")
    assert "pickle and unpickle a view of an array of 4 MB" in done.stdout
    found = json.loads(Path("new/results/results.json").read_text("utf-8"))
    assert [table["name"] for table in found["tables"]] == ["handles", "handle sizes"]
    written = ["ratios.svg", "results.json", "tables.md"]
    assert sorted(os.listdir("new/results")) == written


def test_bench_as_json_prints_nothing_else() -> None:
    done = run(*QUICK, "--json", env=from_here())
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [table["name"] for table in found["tables"]] == ["handles", "handle sizes"]


def test_an_unknown_topic_is_refused() -> None:
    message = refusal("bench", "--only", "speed")
    assert "no topic 'speed': the topics are opening, handles," in message


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        ("/dev/shm", "/dev/shm is not on a disk: name one with --disk"),
        ("nowhere", "cannot create files in nowhere (No such file or directory)"),
    ],
)
def test_a_directory_that_is_on_no_disk_is_refused(disk: str, expected: str) -> None:
    done = run(*QUICK[:2], "--only", "flushing", "--disk", disk, env=from_here())
    assert done.returncode == 1
    assert done.stderr.startswith(f"sharray: {expected}")
    assert done.stderr.count("\n") == 1


def test_output_that_is_no_directory_is_refused_at_once() -> None:
    Path("results").write_text("precious")
    message = refusal(*QUICK, "--output", "results")
    assert "cannot write into results (File exists): expected a directory" in message
    assert Path("results").read_text() == "precious"


def test_without_matplotlib_output_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = refusal(*QUICK, "--output", "results")
    assert "need matplotlib, which is not installed: pip install" in message
    assert "sharray[bench]" in message
    assert os.listdir() == []


def test_benchmarks_of_another_project_are_not_taken_for_ours() -> None:
    os.mkdir("benchmarks")
    Path("benchmarks/__init__.py").write_text("raise SystemExit('started')")
    done = run(*QUICK, env=from_here())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sharray: the benchmarks are not part of this inst")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def installed() -> dict[str, str]:
    """What makes a process find a package as a wheel would install it."""
    only_code = shutil.ignore_patterns("__pycache__")
    site = Path("site/sharray").absolute()
    shutil.copytree(REPOSITORY / "sharray", site, ignore=only_code)
    shutil.copytree(REPOSITORY / "benchmarks", site / "benchmarks", ignore=only_code)
    return os.environ | {"PYTHONPATH": str(site.parent)}


@pytest.mark.parametrize(
    "what",
    [
        ["-m", "sharray", *QUICK],
        # A module that is run in a process of its own, and starts workers.
        [
            "-c",
            "from sharray.benchmarks.children import output_of;"
            "print(output_of('passing_process', 'messages', '100000'))",
        ],
    ],
    ids=["command", "child"],
)
def test_bench_runs_from_a_wheel(installed: dict[str, str], what: list[str]) -> None:
    # Neither is looked for in the directory where the command is called.
    for name in ("benchmarks", "sharray"):
        os.mkdir(name)
        Path(name, "__init__.py").write_text("raise SystemExit('a wrong package')")
    done = subprocess.run(
        [sys.executable, "-P", *what],
        env=installed,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
