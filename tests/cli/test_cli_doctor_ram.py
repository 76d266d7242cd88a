"""The directory for arrays in RAM, on this machine, as ``sharray doctor`` sees it."""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path
from typing import Any

import cli_tools
import disks
import pytest
from workers import start_python

from sharray.cli.commands.doctor import ram
from sharray.storage.location import ram_directory
from sharray.system import huge_pages

pytestmark = pytest.mark.slow

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")

Check = dict[str, Any]


def examine(*arguments: str) -> tuple[int, dict[str, Check]]:
    """Run the command in this process; return its exit status and its checks."""
    done = cli_tools.call("doctor", "--json", *arguments)
    return done.code, {check["name"]: check for check in done.json["checks"]}


def files_in(directory: Path) -> list[str]:
    """Return its files; empty directories are removed when this process ends."""
    return [path.name for path in directory.rglob("*") if path.is_file()]


def shell(check: Check) -> None:
    """Run the commands of a check."""
    for line in check["commands"]:
        if not line.startswith("docker"):
            disks.run("bash", "-c", line)


@needs_root
def test_what_is_told_about_a_small_tmpfs_puts_it_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As before Linux 6.1.
    monkeypatch.setattr(huge_pages, "MADV_COLLAPSE", 9999)
    with disks.tmpfs(tmp_path / "ram", "64m") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        status, before = examine()
        assert status == 0
        for name, verdict in (("room in RAM", "warning"), ("huge pages", "note")):
            assert before[name]["verdict"] == verdict, before[name]
            shell(before[name])
        assert "of 64.0 MiB are free" in before["room in RAM"]["found"]
        _, after = examine()
        for name in ("room in RAM", "huge pages"):
            assert after[name]["verdict"] == "ok", after[name]
        assert after["trial"]["verdict"] == "ok"
        assert files_in(place) == []


def free_huge_pages() -> int:
    """Return the number without compaction: /proc/buddyinfo, orders 9 and 10."""
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disks.tmpfs(tmp_path / "ram", "2m", "ro") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        status, checks = examine(str(place))
    assert status == 1
    for name in ("RAM directory", "room in RAM", "trial", "files there"):
        assert checks[name]["verdict"] == "fault", name
    assert "ead-only" in checks["RAM directory"]["found"]
    assert "ead-only" in checks["files there"]["found"]


def test_a_directory_that_others_may_write_to_is_a_fault_and_put_right(
    monkeypatch: pytest.MonkeyPatch, tmp_ram: str
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
    monkeypatch: pytest.MonkeyPatch, tmp_ram: str
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
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kind = disks.run("df", "--output=fstype", str(tmp_path)).split()[1]
    if kind == "tmpfs":
        pytest.skip("the directory for temporary files is no disk here")
    monkeypatch.setenv("SHARRAY_RAM_DIR", str(tmp_path))
    status, checks = examine()
    assert status == 0
    assert checks["RAM directory"]["verdict"] == "warning"
    assert f"is on {kind}" in checks["RAM directory"]["found"]
    assert examine("--strict")[0] == 1
    assert files_in(tmp_path) == []


def test_no_directory_for_arrays_in_ram_stays() -> None:
    assert not os.path.exists(ram_directory())
    assert ram.try_ram_directory(ram_directory()) == (0o700, None, ())
    assert not os.path.exists(ram_directory())
    with tempfile.NamedTemporaryFile(dir=os.environ["SHARRAY_RAM_DIR"]) as file:
        _, fault, missing = ram.try_ram_directory(f"{file.name}/x")
        assert fault is not None
        assert missing == ()
