"""One test module of CPython's, run in a process of its own and watched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .leftovers import unexpected
from .suites import Module

PROGRAM = Path(__file__).with_name("program.py")
# What no test of CPython's takes, on a busy machine either.
HANGS_AFTER = 240.0
_LINGER = 30.0
_LINES = 60


@dataclass(frozen=True)
class Mode:
    """Whether sharray is installed, and from how many bytes on it acts."""

    name: str
    install: bool
    threshold: int | None = None


PLAIN = Mode("plain", install=False)
TORTURE = Mode("threshold 0", install=True, threshold=0)


@dataclass(frozen=True)
class Order:
    """What `cpython.program` is told."""

    module: str
    methods: tuple[str, ...]
    install: bool
    threshold: int | None
    report: str
    patterns: tuple[str, ...] = ("*",)
    skip: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """How a test has ended: passed, skipped, failed, hung or died."""

    outcome: str
    detail: str = ""

    @property
    def is_good(self) -> bool:
        """Nobody needs to look at it."""
        return self.outcome in ("passed", "skipped")


Records = dict[str, Record]


def run(
    module: Module,
    mode: Mode,
    directory: Path,
    log: Path,
    *,
    patterns: tuple[str, ...] = ("*",),
) -> Records:
    """Run a module's tests to the end, whatever happens on the way.

    Parameters
    ----------
    module, mode
        What to run, and how.
    directory : Path
        Where modules are that the interpreter lacks.
    log : Path
        What the tests print is appended to it.
    patterns : tuple of str
        Of ids of tests to run; `fnmatch`.
    """
    found: Records = {}
    with tempfile.TemporaryDirectory() as work:
        report = os.path.join(work, "report")
        order = Order(
            module.name,
            module.methods,
            mode.install,
            mode.threshold,
            report,
            patterns=patterns,
        )
        while True:
            before = len(found)
            order = replace(order, skip=tuple(found))
            records, is_complete = _run_once(order, directory, Path(work), log)
            found |= records
            if is_complete or len(found) == before:
                break
    prefix = f"{module.name}."
    return {name.removeprefix(prefix): record for name, record in found.items()}


def _run_once(
    order: Order, directory: Path, work: Path, log: Path
) -> tuple[Records, bool]:
    report = Path(order.report)
    report.write_text("")
    with _ram_directory() as ram, log.open("ab") as output:
        environment = os.environ | {
            "SHARRAY_RAM_DIR": ram,
            "PYTHONPATH": os.pathsep.join(
                [str(directory), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "OPENBLAS_NUM_THREADS": "1",  # no threads before a fork
        }
        child = subprocess.Popen(
            [sys.executable, str(PROGRAM), json.dumps(asdict(order))],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=work,
            start_new_session=True,
        )
        try:
            hung = _wait_while_it_moves(child, report)
            records, started, ended = _read(report)
            if not ended:
                what = "hung" if hung else "died"
                said = log.read_text(errors="replace").splitlines()[-_LINES:]
                reason = "\n".join([f"ended with {child.returncode}", *said])
                records[started or "its import"] = Record(what, reason)
                return records, False
            records["its end"] = _end_of(child, ram)
        finally:
            _kill_all(child, ram)
    return records, True


def _wait_while_it_moves(child: subprocess.Popen[bytes], report: Path) -> bool:
    """Wait for the end; true if it had to be brought about."""
    size, since = -1, time.monotonic()
    while True:
        try:
            child.wait(1)
            return False
        except subprocess.TimeoutExpired:
            now, seen = time.monotonic(), report.stat().st_size
        if seen != size:
            size, since = seen, now
        elif now - since > HANGS_AFTER:
            child.send_signal(signal.SIGABRT)  # faulthandler tells where it was
            child.wait()
            return True


def _read(report: Path) -> tuple[Records, str, bool]:
    """Outcomes, the test that has not ended, and whether all have."""
    found: Records = {}
    started, ended = "", False
    for line in report.read_text().splitlines():
        fields = json.loads(line)
        test, event, detail = fields["test"], fields["event"], fields["detail"]
        if event == "end":
            ended = True
        elif event in ("started", "stopped"):
            started = test if event == "started" else ""
        elif found.get(test, Record("passed")).is_good:  # else it failed before
            found[test] = Record(event, detail)
    return found, started, ended


def _end_of(child: subprocess.Popen[bytes], ram: str) -> Record:
    """Whether the processes of a module have ended and left nothing."""
    until = time.monotonic() + _LINGER
    while left := list(_processes_of(ram)):
        if time.monotonic() > until:
            return Record("failed", f"processes left: {list(map(_describe, left))}")
        time.sleep(0.02)
    if files := unexpected(ram):
        return Record("failed", f"files left in RAM: {files}")
    if child.returncode != 0:
        return Record("failed", f"the process ended with {child.returncode}")
    return Record("passed")


@contextmanager
def _ram_directory() -> Iterator[str]:
    """Also marks the processes that are started with it in their environment."""
    with tempfile.TemporaryDirectory(prefix="sharray-cpython-", dir="/dev/shm") as name:
        yield name


def _processes_of(ram: str) -> Iterator[int]:
    mark = f"SHARRAY_RAM_DIR={ram}".encode()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                yield int(name)
        except OSError:
            continue  # it has ended, or is another user's


def _describe(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return str(pid)


def _kill_all(child: subprocess.Popen[bytes], ram: str) -> None:
    for pid in _processes_of(ram):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue  # it has ended meanwhile
    child.wait()
