"""Run a suite in a process of its own, and watch it.

The program of a suite gets the path of a JSON file, the order. Besides the suite's own
options it has:

==============  =============================================================
threshold       what `sharray.install` is told; null: sharray is not installed
imports         modules to import before sharray is installed
every_message   send even messages without arrays through shared memory
report          file to append events to; see `peers.reporting`
seed            of the order of tests
pattern         run only tests whose id matches; `fnmatch`
only            null, or the ids of the tests to run
skip            ids of tests not to run
==============  =============================================================
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import leftovers
from .suite import END, Record, Records, Suite

# Longer than any test of a peer takes, even on a busy machine.
HANGS_AFTER = 240.0
_LINES = 60
# Once set, each suite ends its processes and raises SystemExit.
stopping = threading.Event()
_TESTS = Path(__file__).resolve().parents[1]


def say(text: str) -> None:
    """Print text at once, and in one piece: several suites may run."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Runner:
    """Runs suites.

    Attributes
    ----------
    logs : Path
        Directory for the output of tests.
    seed : int
        Of the order of tests.
    pattern : str
        Run only tests whose id matches; `fnmatch`.
    times : bool
        Whether outcomes have times; else all tests took no time.
    """

    logs: Path
    seed: int = 0
    pattern: str = "*"
    times: bool = True

    def run(
        self,
        suite: Suite,
        threshold: int | None = None,
        only: Collection[str] | None = None,
    ) -> Records:
        """Run a suite to the end, even if tests hang or kill their process.

        Parameters
        ----------
        suite : Suite
            What to run.
        threshold : int or None
            For `sharray.install`. None: without sharray.
        only : collection of str or None
            Tests to run. None: all.
        """
        start = time.monotonic()
        found: Records = {}
        order = {
            "threshold": threshold,
            "seed": self.seed,
            "pattern": self.pattern,
            "only": None if only is None else sorted(only),
            "imports": [],
            "every_message": False,
            **suite.options,
        }
        while True:
            before = len(found)
            # Once more without those that ran, if one of them ended the process.
            records, is_complete = self._run_once(suite, order | {"skip": list(found)})
            found |= {name: r for name, r in records.items() if name not in found}
            if is_complete or len(found) == before:
                break
        if not self.times:
            found = {name: replace(record, seconds=0) for name, record in found.items()}
        bad = sum(not record.is_good for record in found.values())
        say(
            f"{suite.name}, {'plain' if threshold is None else 'installed'}: "
            f"{len(found)} ran, {bad} failed, {time.monotonic() - start:.0f} s"
        )
        return found

    def _run_once(self, suite: Suite, order: dict[str, Any]) -> tuple[Records, bool]:
        how = "plain" if order["threshold"] is None else "installed"
        log = self.logs / f"{suite.name.replace('/', '-')}.{how}.log"
        with (
            tempfile.TemporaryDirectory(prefix="sharray-peers-") as work,
            leftovers.ram_directory() as ram,
            log.open("ab") as output,
        ):
            report = Path(work, "report")
            report.touch()
            Path(work, "order").write_text(json.dumps(order | {"report": str(report)}))
            empty = Path(work, "empty")
            empty.mkdir()
            child = subprocess.Popen(
                [sys.executable, "-m", suite.program, os.path.join(work, "order")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(suite, ram),
                cwd=suite.directory or empty,
                start_new_session=True,
            )
            try:
                hung = _wait_while_it_moves(child, report)
                found, started, ended = _read(report)
                if ended:
                    found[END] = _end_of(child, ram)
                else:
                    what = "hung" if hung else "died"
                    said = log.read_text(errors="replace").splitlines()[-_LINES:]
                    reason = "\n".join([f"ended with {child.returncode}", *said])
                    found[started or "its import"] = Record(what, reason)
            finally:
                child.kill()
                child.wait()
                leftovers.kill_all(ram)
        return found, ended


def _environment(suite: Suite, ram: str) -> dict[str, str]:
    path = [*map(str, suite.path), str(_TESTS)]
    path += filter(None, [os.environ.get("PYTHONPATH")])
    programs = os.path.dirname(sys.executable)  # some tests run "python"
    return {
        **os.environ,
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
        "SHARRAY_RAM_DIR": ram,
        "PYTHONPATH": os.pathsep.join(path),
        "OPENBLAS_NUM_THREADS": "1",  # no threads before a fork
        **suite.environment,
    }


def _wait_while_it_moves(child: subprocess.Popen[bytes], report: Path) -> bool:
    """Wait for the end; returns whether it had to be brought about."""
    size, since = -1, time.monotonic()
    while True:
        try:
            child.wait(1)
            return False
        except subprocess.TimeoutExpired:
            if stopping.is_set():
                raise SystemExit from None
            now, seen = time.monotonic(), report.stat().st_size
        if seen != size:
            size, since = seen, now
        elif now - since > HANGS_AFTER:
            child.send_signal(signal.SIGABRT)  # faulthandler tells where it was
            child.wait()
            return True


def _read(report: Path) -> tuple[Records, str, bool]:
    """Return outcomes, the test that has not ended, and whether all have."""
    found: Records = {}
    started, ended = "", False
    for line in report.read_text().splitlines():
        fields = json.loads(line)
        test, event, detail = fields["test"], fields["event"], fields["detail"]
        if event == "end":
            ended = True
        elif event == "started":
            started = test
        elif event == "stopped":
            started = ""
            record = found.get(test, Record("skipped", "it said nothing"))
            found[test] = replace(record, seconds=fields["seconds"])
        elif found.get(test, Record("passed")).is_good:  # else it failed before
            found[test] = Record(event, detail)
    return found, started, ended


def _end_of(child: subprocess.Popen[bytes], ram: str) -> Record:
    """Return whether the processes of a suite have ended and left nothing."""
    if left := leftovers.processes_after_a_while(ram):
        return Record("failed", f"processes left: {left}")
    if files := leftovers.unexpected(ram):
        return Record("failed", f"files left in RAM: {files}")
    if child.returncode != 0:
        return Record("failed", f"the process ended with {child.returncode}")
    return Record("passed")
