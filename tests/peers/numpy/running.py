"""Run NumPy's tests with one kind of arrays, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

SITE = Path(np.__file__).resolve().parents[1]
_TESTS = Path(__file__).resolve().parents[2]
_MOST_DEATHS = 20

Outcomes = dict[str, str]


def run(
    kind: str,
    files: Collection[str],
    *,
    only: Collection[str] | None = None,
    slow: bool = False,
) -> Outcomes:
    """Run tests to the end, also if some of them end the process.

    Parameters
    ----------
    kind : str
        Of `arrays.KINDS`.
    files : collection of str
        Test files, relative to `SITE`.
    only : collection of str, optional
        Ids of the tests to run; all without.
    slow : bool
        Also those that NumPy marks as slow.

    Returns
    -------
    dict
        By id: ``passed``, ``skipped``, or ``failed`` with the reason.
    """
    found: Outcomes = {}
    for _ in range(_MOST_DEATHS):
        more, died = _run_once(kind, files, only, slow, found)
        found |= more
        if died is None:
            return found
        found[died] = "failed: the process ended"
    raise RuntimeError(f"{_MOST_DEATHS} tests ended their process, last {died}")


def _run_once(
    kind: str,
    files: Collection[str],
    only: Collection[str] | None,
    slow: bool,
    done: Outcomes,
) -> tuple[Outcomes, str | None]:
    """Run what is not done; returns the outcomes, and the test that was the end."""
    ram = tempfile.mkdtemp(prefix="sharray-numpy-", dir="/dev/shm")
    try:
        with tempfile.TemporaryDirectory(prefix="sharray-numpy-") as work:
            report, order = Path(work, "report"), Path(work, "order")
            report.touch()
            chosen = None if only is None else sorted(only)
            content = {"report": str(report), "only": chosen, "skip": sorted(done)}
            order.write_text(json.dumps(content), "utf-8")
            log = Path(work, "log")
            with log.open("wb") as output:
                status = subprocess.run(
                    [sys.executable, "-m", "pytest", *_options(slow), *files],
                    cwd=work,
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ
                    | {
                        "PYTHONPATH": _python_path(),
                        "SHARRAY_NUMPY_KIND": kind,
                        "SHARRAY_NUMPY_ORDER": str(order),
                        "SHARRAY_RAM_DIR": ram,
                        "OPENBLAS_NUM_THREADS": "1",  # so is one core enough
                    },
                ).returncode
            found, begun = _read(report)
            if status in (0, 1, 5):
                return found, None
            if begun is None:
                said = log.read_text("utf-8", "replace")[-3000:]
                raise RuntimeError(f"pytest ended with {status}:\n{said}")
            return found, begun
    finally:
        shutil.rmtree(ram)


def _python_path() -> str:
    return os.pathsep.join([str(_TESTS), *filter(None, [os.getenv("PYTHONPATH")])])


def _options(slow: bool) -> list[str]:
    options = ["-q", "--no-header", "-c", os.devnull, f"--rootdir={SITE}"]
    # A virtual environment may lie in a project that has a conftest.py.
    options += [f"--confcutdir={SITE}"]
    options += ["-p", "no:cacheprovider", "-p", "peers.numpy.plugin", "--timeout=240"]
    # Only the message is used. The others format source code, 0.3 s for each failure.
    options += ["--tb=native"]
    return options if slow else [*options, "-m", "not slow"]


def _read(report: Path) -> tuple[Outcomes, str | None]:
    """Return the outcomes, and the test that had begun and not ended."""
    found: Outcomes = {}
    begun = None
    for line in report.read_text("utf-8").splitlines():
        test, outcome = json.loads(line)
        begun = test if outcome is None else None
        if outcome is not None and not found.get(test, "").startswith("failed"):
            found[test] = outcome
    return found, begun
