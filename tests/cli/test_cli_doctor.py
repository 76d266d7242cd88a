"""``sharray doctor`` on this machine: what it tries, finds, prints and leaves alone."""

from __future__ import annotations

import errno
import fcntl
import importlib.metadata
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import disks
import numpy as np
import pytest
from workers import start_python

import sharray as sh
from sharray.cli import main
from sharray.cli.commands.doctor import probes, trial
from sharray.storage.location import ram_directory

pytestmark = pytest.mark.slow

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")

Check = dict[str, Any]


@pytest.fixture
def examine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Check]]]:
    """Run the command in this process; returns its exit status and its checks."""

    def examine(*arguments: str) -> tuple[int, dict[str, Check]]:
        monkeypatch.setattr(sys, "argv", ["sharray", "doctor", "--json", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert shown.err == ""
        checks = json.loads(shown.out)["checks"]
        return int(ended.value.code or 0), {check["name"]: check for check in checks}

    return examine


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sharray", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        **options,
    )


def files_in(directory: Path) -> list[str]:
    """Its files; empty directories go when this process ends."""
    return [path.name for path in directory.rglob("*") if path.is_file()]


def shell(check: Check) -> None:
    """Do what a check says."""
    for line in check["commands"]:
        disks.run("bash", "-c", line)


# -- the whole command -------------------------------------------------------


def test_the_document_has_each_check_and_the_worst_verdict(tmp_path: Path) -> None:
    done = command("--json", str(tmp_path))
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert sorted(document) == ["checks", "verdict"]
    keys = ["name", "verdict", "found", "why", "commands"]
    assert all(list(check) == keys for check in document["checks"])
    names = [check["name"] for check in document["checks"]]
    assert len(set(names)) == len(names) > 25
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
    assert lines[0] == "System"
    assert "Arrays in RAM" in lines
    assert lines[-1].startswith("Of ")
    assert "there " in lines[-1]


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


def test_a_directory_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    for name in ("nowhere", "file"):
        monkeypatch.setattr(sys, "argv", ["sharray", "doctor", name])
        with pytest.raises(SystemExit) as ended:
            main()
        message = str(ended.value.code)  # Python prints it, and exits with status 1
        assert message.startswith(f"sharray: '{name}' is not a directory")
        assert "\n" not in message
        assert capsys.readouterr().out == ""


def test_without_packaging(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if "commands.doctor" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    monkeypatch.setattr(sys, "argv", ["sharray", "doctor"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert "needs packaging" in str(ended.value.code)


def test_limits_of_the_shell_are_found() -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 1000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 21))

    done = command("--json", preexec_fn=lower)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["open files"]["verdict"] == "warning"
    assert checks["open files"]["commands"] == ["ulimit -n 1000"]
    assert checks["file size"]["verdict"] == "warning"
    assert checks["file size"]["commands"] == ["ulimit -f 2048"]
    assert done.returncode == 0


# -- the directory for arrays in RAM -----------------------------------------


@needs_root
def test_what_is_told_about_a_small_tmpfs_puts_it_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examine
) -> None:
    # As an administrator would see it; this may run in a container.
    monkeypatch.setattr("sharray.system.limits.container", lambda: None)
    with disks.tmpfs(tmp_path / "ram", "64m", "nr_inodes=900") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        status, before = examine()
        assert status == 0
        for name, verdict in (
            ("room in RAM", "warning"),
            ("files in RAM", "warning"),
            ("huge pages", "note"),
        ):
            assert before[name]["verdict"] == verdict, before[name]
            shell(before[name])
        assert "holds 64.0 MiB" in before["room in RAM"]["found"]
        _, after = examine()
        for name in ("room in RAM", "files in RAM", "huge pages"):
            assert after[name]["verdict"] == "ok", after[name]
        assert after["trial"]["verdict"] == "ok"
        assert files_in(place) == []


def free_huge_pages() -> int:
    """How many there are without compaction: /proc/buddyinfo, orders 9 and 10."""
    lines = Path("/proc/buddyinfo").read_text().splitlines()
    return sum(int(pages) for line in lines for pages in line.split()[-2:])


@needs_root
def test_the_advised_huge_pages_are_for_large_arrays_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "ShmemPmdMapped" not in Path("/proc/self/smaps").read_text():
        pytest.skip("this kernel has no huge pages for files in memory")
    code = """
import os, pathlib, sharray as sh
large, *small = sh.zeros(8 << 20, "u1"), *(sh.zeros(10, "u1") for _ in range(20))
large[:] = 1
lines = pathlib.Path("/proc/self/smaps").read_text().splitlines()
huge = [line.split()[1] for line in lines if line.startswith("ShmemPmdMapped")]
print(sum(map(int, huge)) >> 10)
print(os.statvfs(os.environ["SHARRAY_RAM_DIR"]).f_bfree)
"""
    with disks.tmpfs(tmp_path / "ram", "64m", "huge=within_size") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        ended = start_python(code)
    megabytes, free = map(int, ended.stdout.split())
    assert free * resource.getpagesize() > 50 << 20
    if free_huge_pages() < 16:
        pytest.skip("the memory of this machine is in small pieces")
    assert megabytes >= 4


@needs_root
def test_a_full_tmpfs_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examine
) -> None:
    with disks.tmpfs(tmp_path / "ram", "2m") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        with pytest.raises(OSError, match="space"):
            (place / "filler").write_bytes(bytes(3 << 20))
        status, checks = examine(str(place))
        assert status == 1
        assert checks["room in RAM"]["verdict"] == "fault"
        assert checks["trial"]["verdict"] == "fault"
        assert "0 are free" in checks["trial"]["found"]
        assert checks["free space"]["verdict"] == "fault"
        assert checks["trial there"]["verdict"] == "fault"
        assert files_in(place) == ["filler"]


@needs_root
def test_a_read_only_tmpfs_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examine
) -> None:
    with disks.tmpfs(tmp_path / "ram", "2m", "ro") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        status, checks = examine(str(place))
    assert status == 1
    for name in ("RAM directory", "RAM file system", "trial", "files there"):
        assert checks[name]["verdict"] == "fault", name
    assert "ead-only" in checks["RAM directory"]["found"]
    assert "ead-only" in checks["files there"]["found"]


def test_a_directory_that_others_may_write_to_is_a_fault_and_put_right(
    monkeypatch: pytest.MonkeyPatch, tmp_ram: str, examine
) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)
    directory = Path(tmp_ram, f"sharray-{os.getuid()}")
    directory.mkdir()
    directory.chmod(0o777)
    status, checks = examine()
    assert status == 1
    assert "mode 0777" in checks["RAM directory"]["found"]
    assert checks["trial"]["verdict"] == "fault"
    assert directory.stat().st_mode & 0o777 == 0o777  # nothing is changed here
    shell(checks["RAM directory"])
    status, checks = examine()
    assert checks["RAM directory"]["verdict"] == "ok"
    assert checks["trial"]["verdict"] == "ok"


def test_a_chosen_directory_that_is_not_there_is_a_fault_and_put_right(
    monkeypatch: pytest.MonkeyPatch, tmp_ram: str, examine
) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", f"{tmp_ram}/to be/made")
    status, checks = examine()
    assert status == 1
    assert "not a directory" in checks["RAM directory"]["found"]
    assert "room in RAM" not in checks
    make, _ = checks["RAM directory"]["commands"]
    disks.run("bash", "-c", make)
    _, checks = examine()
    assert checks["RAM directory"]["verdict"] == "ok"


def test_a_disk_is_a_warning_which_counts_if_strict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, examine
) -> None:
    kind = disks.run("df", "--output=fstype", str(tmp_path)).split()[1]
    if kind == "tmpfs":
        pytest.skip("the directory for temporary files is no disk here")
    monkeypatch.setenv("SHARRAY_RAM_DIR", str(tmp_path))
    status, checks = examine()
    assert status == 0
    assert checks["RAM file system"]["verdict"] == "warning"
    assert f"is {kind}" in checks["RAM file system"]["found"]
    assert examine("--strict")[0] == 1
    assert files_in(tmp_path) == []


def test_what_a_killed_process_left_is_what_gc_would_remove(tmp_ram: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARRAY_RAM_DIR", tmp_ram)
        held = sh.create("shm://held", 1000)
        code = """
import os, pathlib
import sharray as sh
from sharray.storage.location import ram_directory
sh.create("shm://idle", 1000)
unnamed = [sh.zeros(10) for _ in range(67)]  # of which 3 have to have a name
pathlib.Path(ram_directory(), ".x.npy.0.new").write_bytes(bytes(100))
os._exit(9)
"""
        assert start_python(code).returncode == 9
        found = probes.contents()
        removed = sh.gc()
        assert (found.named, found.held) == (2, 1)
        assert found.named_bytes == 2 * held.nbytes
        assert (found.orphans, found.unfinished) == (3, 1)
        assert found.unfinished_bytes == 100
        assert found.orphans + found.unfinished == len(removed)
        assert probes.contents() == found._replace(
            orphans=0, orphans_bytes=0, unfinished=0, unfinished_bytes=0
        )
        del held
        for name in ("held", "idle"):
            sh.unlink(f"shm://{name}")


# -- trying --------------------------------------------------------------------


def test_a_trial_leaves_nothing(tmp_path: Path) -> None:
    assert trial.try_in_directory(str(tmp_path)).fault is None
    tried = trial.try_in_ram()
    assert (tried.fault, tried.can_see) == (None, True)
    assert os.listdir(tmp_path) == []
    assert sh.list() == []


def test_an_array_that_stays_as_it_was_fails_the_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trial, "_have_another_add_one", lambda _: (None, True))
    fault = "what another process wrote to the array is not seen here"
    assert trial.try_in_ram().fault == fault
    assert trial.try_in_directory(str(tmp_path)).fault == fault


def test_a_file_that_differs_from_memory_fails_the_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    np.save("other.npy", np.zeros(1000))
    differs = trial._differs
    monkeypatch.setattr(trial, "_differs", lambda _, x: differs("other.npy", x))
    fault = trial.try_in_directory(str(tmp_path)).fault
    assert fault == "the file does not hold what is in memory, after a flush"


def test_a_process_that_ends_or_hangs_fails_the_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_ram: str
) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)
    code = """
import operator
from sharray.cli.commands.doctor import trial
if __name__ == "__main__":
    patience, trial._PATIENCE = trial._PATIENCE, 0
    print(trial.try_in_ram().fault)
    trial._PATIENCE, trial._add_one = patience, operator.is_
    print(trial.try_in_ram().fault)
"""
    # What nobody has received goes when its sender ends.
    ended = start_python(code)
    assert ended.stdout.splitlines() == [
        "a new process did not answer for 0 s",
        "a new process ended with exit code 0",
    ], ended.stderr
    assert os.listdir(tmp_ram) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_trial_leaves_no_file_and_no_process(
    number: signal.Signals, tmp_ram: str
) -> None:
    code = f"""
import os, sys
from sharray.cli import main
from sharray.cli.commands.doctor import trial
await_answer = trial._await_answer
def await_and_interrupt(*arguments):
    await_answer(*arguments)
    print(len(os.listdir({tmp_ram!r})), flush=True)
    os.killpg(0, {int(number)})
trial._await_answer = await_and_interrupt
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


@pytest.mark.parametrize("unnamed", [True, False], ids=["O_TMPFILE", "named"])
def test_locks_are_tried_and_no_file_stays(
    unnamed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not unnamed:
        monkeypatch.setattr(probes.files, "open_unnamed", lambda _: None)
    assert probes.try_locks(str(tmp_path)) is probes.Locks.WORK
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lambda *_: None)
        assert probes.try_locks(str(tmp_path)) is probes.Locks.FAIL

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "not implemented")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        assert probes.try_locks(str(tmp_path)) is probes.Locks.MISSING
    assert os.listdir(tmp_path) == []


def test_system_calls_that_fail_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "by the sandbox")

    assert probes.missing_calls() == ()
    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert probes.missing_calls() == ("pidfd_open",)
    monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    assert probes.missing_calls() == ("pidfd_open", "F_OFD_SETLK")
    monkeypatch.setattr(os, "memfd_create", refuse)
    assert probes.missing_calls() == ("pidfd_open", "memfd_create")


def test_packages_are_those_that_sharray_asks_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entries = importlib.metadata.requires("sharray") or []
    numba = probes.package("numba")
    assert f"numba{numba.wanted}" in entries
    assert numba.version == importlib.metadata.version("numba")
    assert (numba.is_wanted, numba.fault) == (True, None)
    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", lambda _: "0.4.7")
        assert not probes.package("numba").is_wanted
    (tmp_path / "sharray_broken.py").write_text("raise RuntimeError('no\\nLLVM')")
    monkeypatch.syspath_prepend(tmp_path)
    broken = probes.package("sharray_broken")
    assert (broken.version, broken.fault) == (None, "RuntimeError: no LLVM")


def test_no_directory_for_arrays_in_ram_stays() -> None:
    assert not os.path.exists(ram_directory())
    found = probes.try_ram_directory(ram_directory())
    assert found == (None, probes.Locks.WORK, ())
    assert not os.path.exists(ram_directory())
    with tempfile.NamedTemporaryFile(dir=os.environ["SHARRAY_RAM_DIR"]) as file:
        fault, locks, _ = probes.try_ram_directory(f"{file.name}/x")
        assert fault is not None
        assert locks is None
