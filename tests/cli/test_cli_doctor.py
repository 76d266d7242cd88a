"""``sharray doctor`` on this machine: its tries, findings and output."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cli_tools
import numpy as np
import pytest
from workers import start_python

import sharray as sh
from sharray.cli import main
from sharray.cli.commands.doctor import Verdict, calls, trial, versions

pytestmark = pytest.mark.slow


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sharray", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        **options,
    )


# -- the whole command -------------------------------------------------------


def test_the_document_has_each_check_and_the_worst_verdict(tmp_path: Path) -> None:
    done = command("--json", str(tmp_path))
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert sorted(document) == ["checks", "verdict"]
    keys = ["name", "verdict", "found", "why", "commands"]
    assert all(list(check) == keys for check in document["checks"])
    names = [check["name"] for check in document["checks"]]
    assert len(set(names)) == len(names) >= 16
    order = ["ok", "note", "warning", "fault"]
    verdicts = [check["verdict"] for check in document["checks"]]
    assert document["verdict"] == max(verdicts, key=order.index)
    assert done.returncode == int("fault" in verdicts)
    assert os.listdir(tmp_path) == []


def test_people_get_lines_that_can_be_copied_and_no_colours_in_a_file() -> None:
    directory = Path(os.environ["SHARRAY_RAM_DIR"], f"sharray-{os.getuid()}")
    directory.mkdir(mode=0o755)
    (directory / "file").touch()  # else the directory goes when nobody uses it
    done = command(env=os.environ | {"COLUMNS": "50"})
    shutil.rmtree(directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert f"  chmod 700 {directory}\n" in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "Versions"
    assert "Arrays in RAM" in lines
    assert re.fullmatch(r"\d+ checks: \d+ ok,.* \d+ note.*\.", lines[-1])


def test_people_at_a_terminal_get_colours() -> None:
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                shown.extend(os.read(ours, 4096))
            except OSError:  # EIO: nobody has the other side open any more
                return

    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    try:
        reader = threading.Thread(target=read)
        reader.start()
        done = subprocess.run(
            [sys.executable, "-m", "sharray", "doctor"],
            stdout=theirs,
            env=environment,
            timeout=500,
        )
        os.close(theirs)
        reader.join()
    finally:
        os.close(ours)
    assert done.returncode == 0
    assert b"\x1b[32m ok " in shown


def test_a_terminal_breaks_lines_but_not_commands() -> None:
    done = cli_tools.call("doctor", columns=70)
    assert (done.code, done.err) == (0, "")
    assert f"\n{' ' * 27}array in place" in done.out
    # Neither commands nor names are broken.
    texts = [line for line in done.out.splitlines() if not {"/", "#"} & {*line}]
    assert max(map(len, texts)) <= 70


def test_a_directory_that_is_not_there_is_one_line() -> None:
    Path("file").touch()
    for name in ("nowhere", "file"):
        assert f"'{name}' is not a directory" in cli_tools.refusal("doctor", name)


def test_without_packaging(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if "commands.doctor" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    monkeypatch.setattr(sys, "argv", ["sharray", "doctor"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert "pip install 'sharray[cli]'" in str(ended.value.code)


def test_the_limit_of_the_shell_is_found() -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 1000))

    done = command("--json", preexec_fn=lower)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["open files"]["verdict"] == "warning"
    assert checks["open files"]["commands"] == ["ulimit -n 1000"]
    assert done.returncode == 0


# -- trying --------------------------------------------------------------------


def test_a_trial_leaves_nothing(tmp_path: Path) -> None:
    assert trial.check_trial("in a file", str(tmp_path)).verdict is Verdict.OK
    assert trial.check_trial("in RAM").verdict is Verdict.OK
    assert os.listdir(tmp_path) == []
    assert sh.list() == []


def run_nothing(*_: object, **__: object) -> None:
    """Do nothing, like a kernel that no worker has run."""


def test_an_array_that_stays_as_it_was_fails_the_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sh.Team, "run", run_nothing)
    for directory in (None, str(tmp_path)):
        finding = trial.check_trial("trial", directory)
        assert finding.verdict is Verdict.FAULT
        assert finding.found == "this process does not see what a worker wrote."
    assert os.listdir(tmp_path) == []


def test_a_file_that_differs_from_memory_fails_the_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(np, "load", lambda _: np.zeros(1000))
    finding = trial.check_trial("trial", str(tmp_path))
    assert finding.found == "after a flush, the file differs from memory."


def test_an_error_of_the_library_fails_the_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise TimeoutError("60 s are over,\nand a worker still runs")

    monkeypatch.setattr(sh.Team, "run", fail)
    finding = trial.check_trial("trial", str(tmp_path))
    assert finding.verdict is Verdict.FAULT
    assert finding.found == "60 s are over, and a worker still runs."
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_trial_leaves_no_file_and_no_process(
    number: signal.Signals, tmp_ram: str
) -> None:
    code = f"""
import os, sys
import sharray as sh
from sharray.cli import main
run = sh.Team.run
def run_and_interrupt(*arguments, **options):
    run(*arguments, **options)
    print(len(os.listdir({tmp_ram!r})), flush=True)
    os.killpg(0, {int(number)})
sh.Team.run = run_and_interrupt
os.setsid()
sys.argv = ["sharray", "doctor", {tmp_ram!r}]
main()
"""
    # Returns when all who hold its output have ended.
    done = start_python(code)
    expected = 130 if number is signal.SIGINT else 128 + number
    assert (done.returncode, done.stdout) == (expected, "1\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_ram) == []


def test_locks_that_keep_nobody_out_count_as_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert calls.missing_in(str(tmp_path)) == ()
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert calls.missing_in(str(tmp_path)) == ("flock",)
    assert os.listdir(tmp_path) == []


def test_packages_are_those_that_sharray_asks_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entries = importlib.metadata.requires("sharray") or []
    supported = versions.supported_versions()
    assert str(supported["numba"]) in entries
    assert str(supported["Python"]) == "Python>=3.11"
    found = versions.find_package("numba")
    assert found == (importlib.metadata.version("numba"), None)
    (tmp_path / "sharray_broken.py").write_text("raise RuntimeError('no\\nLLVM')")
    monkeypatch.syspath_prepend(tmp_path)
    assert versions.find_package("sharray_broken") == ("", "RuntimeError: no LLVM")


def test_a_program_that_runs_from_its_sources_has_no_metadata(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def miss(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "metadata", miss)
    supported = versions.supported_versions()
    assert {name: str(each) for name, each in supported.items()} == {
        name: name for name in ("Python", "numpy", "numba")
    }
