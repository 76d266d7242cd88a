"""What is said when there is no room: of what there is too little, and what to do."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import disks
import faults
import pytest
from hostile import refused
from workers import start_python

import sharray as sh
from sharray.system import file_systems, files, limits

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
needs_unshare = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None,
    reason="needs root and unshare(1)",
)
IN_RAM: dict[str, Callable[[], Any]] = {
    "zeros": lambda: sh.zeros(3),
    "ones": lambda: sh.ones(3),
    "named": lambda: sh.create("shm://a/b", 3),
}


@needs_root
def test_inodes_that_are_used_up_are_named(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "small", "8m", "nr_inodes=4") as place:
        kept = [sh.create(place / f"{n}.npy", 3) for n in range(3)]
        for overwrite in (False, True):
            refused(
                sh.NoSpaceError,
                lambda overwrite=overwrite: sh.create(
                    place / "more.npy", 3, overwrite=overwrite
                ),
                r"all inodes of .* are used up.*\d+ bytes are free.*df -i",
                place / "more.npy",
            )
        assert len(os.listdir(place)) == len(kept)
        del kept


@needs_root
@pytest.mark.parametrize("act", IN_RAM.values(), ids=IN_RAM)
@pytest.mark.parametrize("inodes", [1, 2, 3])
def test_inodes_of_the_ram_disk_are_named(
    inodes: int,
    act: Callable[[], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with disks.tmpfs(tmp_path / "small", "8m", f"nr_inodes={inodes}") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        says = r"all inodes .* are used up.*nr_inodes.*SHARRAY_RAM_DIR"
        refused(sh.NoSpaceError, act, says)


@needs_root
@pytest.mark.parametrize("act", IN_RAM.values(), ids=IN_RAM)
def test_a_read_only_ram_disk_points_to_another_directory(
    act: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disks.tmpfs(tmp_path / "mounted", "1m", "ro") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        error = refused(sh.AccessError, act, "read-only.*SHARRAY_RAM_DIR")
        assert "mode=" not in str(error)


LIMITED = """
import os, resource, signal, sys
import sharray as sh
os.environ["SHARRAY_RAM_DIR"] = os.getcwd()
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
if sys.argv[1] == "default":  # as in a program that embeds Python
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
for act in (
    lambda: sh.create("a.npy", 1 << 18),
    lambda: sh.create("a.npy", 1 << 18, fill_value=1),
    lambda: sh.zeros(1 << 18),
    lambda: sh.create("shm://a", 1 << 18),
):
    try:
        act()
    except sh.NoSpaceError as error:
        print(error.errno, "1048576" in str(error), "ulimit -f" in str(error))
print(sh.create("b.npy", 1000).sum(), [n for n in os.listdir() if n.endswith("npy")])
"""


@pytest.mark.parametrize("action", ["ignored", "default"])
def test_the_limit_on_the_size_of_files_is_named_and_kills_nobody(action: str) -> None:
    ended = start_python(LIMITED, action)
    assert ended.stderr == ""
    refusal = f"{errno.EFBIG} True True"
    assert ended.stdout.splitlines() == [*[refusal] * 4, "0.0 ['b.npy']"]


def test_memory_that_is_short_is_told_apart_from_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "available_memory", lambda: 100 << 20)
    for act in (lambda: sh.zeros(15 << 20), lambda: sh.create("shm://a", 15 << 20)):
        refused(sh.NoSpaceError, act, rf"{100 << 20} bytes of memory free")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.EDQUOT, r"quota.*used up.*quota -s"),
        (errno.ENOSPC, r"needs \d+ bytes, \d+ are free in .*quota.*remove"),
        (errno.EFBIG, r"its file system does not support files this large.*choose"),
    ],
)
def test_a_quota_is_not_called_a_full_disk(code: int, says: str) -> None:
    with faults.failing({"fallocate": code}, os.getcwd()):
        refused(sh.NoSpaceError, lambda: sh.create("a.npy", 3), says, "a.npy")
    assert os.listdir() == []


@pytest.mark.parametrize("blocks", [None, 0])
def test_a_file_system_that_does_not_tell_takes_large_arrays(
    blocks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many FUSE file systems say 0 of 0, and so does a tmpfs without a limit."""
    real = os.statvfs

    def told(path: str) -> os.statvfs_result:
        if blocks is None:
            raise OSError(errno.ENOSYS, "Function not implemented")
        return os.statvfs_result((*real(path)[:2], 0, 0, 0, 0, 0, 0, *real(path)[8:10]))

    monkeypatch.setattr(os, "statvfs", told)
    assert file_systems.free_bytes(".") == sys.maxsize
    monkeypatch.setattr(files, "write_at", lambda *_: None)
    with faults.failing({"fallocate": errno.ENOSPC}, os.getcwd()):
        error = refused(sh.NoSpaceError, lambda: sh.create("a.npy", 1 << 30))
    assert str(sys.maxsize) not in str(error)


@needs_root
def test_a_ram_disk_without_a_limit_takes_large_arrays(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "unlimited", "0") as place:
        assert sh.create(place / "a.npy", 9 << 20).nbytes == 72 << 20
        os.unlink(place / "a.npy")


WITHOUT_PROC = """
import os, pickle
import numpy as np
import sharray as sh
assert os.listdir("/proc") == []
os.environ["SHARRAY_RAM_DIR"] = os.getcwd()
a = sh.create("a.npy", 3, fill_value=1)
b = sh.create("a.npy", 4, fill_value=2, overwrite=True)
print(np.load("a.npy").tolist(), sh.open("a.npy").tolist(), a.tolist())
print(sh.inspect("a.npy").in_use, sh.inspect(a).holders, len(sh.list(".")))
print(pickle.loads(pickle.dumps(sh.full(3, 4))).tolist(), sh.gc())
del b
sh.unlink("a.npy")
print([name for _, _, names in os.walk(".") for name in names])
"""


@needs_unshare
def test_arrays_work_where_no_proc_is_mounted() -> None:
    script = 'umount -l /proc && exec "$0" -c "$1"'
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, WITHOUT_PROC],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "[2.0, 2.0, 2.0, 2.0] [2.0, 2.0, 2.0, 2.0] [1.0, 1.0, 1.0]",
        "True () 1",
        "[4, 4, 4] []",
        "[]",
    ]
