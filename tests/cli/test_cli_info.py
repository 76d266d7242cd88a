"""``sharray info``."""

from __future__ import annotations

import errno
import os
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from cli_tools import call, process, refusal
from faults import failing_flush
from workers import start_python

import sharray as sh
from sharray.system import files

pytestmark = pytest.mark.slow

PAGE = 4096


def test_header_and_memory_are_what_numpy_and_the_system_say() -> None:
    a = sh.create("field.npy", (500, 1000), order="F")
    a[:] = 1
    a.flush()
    found = call("info", "--json", "field.npy").json
    assert np.load("field.npy").flags.f_contiguous
    assert (found["shape"], found["order"]) == ([500, 1000], "F")
    assert found["data_offset"] == os.path.getsize("field.npy") - 4_000_000
    assert found["uuid"] is None
    assert found["allocated"] == os.stat("field.npy").st_blocks * 512
    assert (found["dirty"], found["state"], found["fault"]) == (0, "clean", None)
    assert a.nbytes <= found["resident"] <= found["file_size"]
    shown = call("info", "field.npy").out
    for text in ("float64", "500 x 1000, F order", "4,000,000 bytes", "created"):
        assert text in shown
    assert "uuid" not in shown
    assert "#" in call("info", "field.npy", columns=80).out
    assert "#" not in shown


@pytest.mark.parametrize(("count", "expected"), [(1, "1 row now"), (2, "2 rows now")])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_that_can_grow_is_shown_with_its_rows(
    order: str, count: int, expected: str
) -> None:
    shape = (0, 3) if order == "C" else (3, 0)
    a = sh.create("log.npy", shape, order=order, growable=True)
    assert "can grow   0 rows now" in call("info", "log.npy").out
    for _ in range(count):
        a.append([1, 2, 3])
    assert f"can grow   {expected}, more can be" in call("info", "log.npy").out
    assert call("info", "--json", "log.npy").json["growable"] is True


def test_an_array_of_fixed_size_is_not_called_growable() -> None:
    sh.create("field.npy", 3)
    assert "can grow" not in call("info", "field.npy").out
    assert call("info", "--json", "field.npy").json["growable"] is False


def test_an_array_in_ram_has_an_identity() -> None:
    path = Path(str(sh.create("shm://a", 3).filename))
    found = call("info", "--json", "shm://a").json
    assert bytes.fromhex(found["uuid"]) == path.read_bytes()[-PAGE + 16 :][:16]
    assert found["uuid"] in call("info", "shm://a").out
    sh.unlink("shm://a")


def test_what_is_written_is_dirty_until_it_is_flushed() -> None:
    a = sh.create("field.npy", 100_000)
    a.flush()
    dirty, shown = 0, ""
    # The system may write at any time, as when somebody else calls sync.
    while dirty == 0 or (dirty is not None and "not on the disk yet" not in shown):
        a[:512] += 1
        dirty = call("info", "--json", "field.npy").json["dirty"]
        shown = call("info", "field.npy").out
    assert dirty is None or 4096 <= dirty <= 2 * 4096 + 4096


@pytest.mark.skipif(os.getuid() != 0, reason="only root is told of physical frames")
def test_one_physical_page_is_shown_under_several_virtual_addresses() -> None:
    a = sh.create("shm://a", 2000)
    a[:] = 1
    code = "import sharray; a = sharray.open('shm://a'); a[1000]"
    with process(code) as child:
        found = call("info", "--json", "--page", "1", "shm://a").json
        ours, theirs = sorted(found["views"], key=lambda view: view["pid"] == child.pid)
        assert (ours["pid"], theirs["pid"]) == (os.getpid(), child.pid)
        assert ours["address"] == a.ctypes.data + PAGE
        assert ours["frame"] == theirs["frame"] == _frame(ours["address"])
        shown = call("info", "--page", "1", "shm://a").out
        assert "One physical page at 2 virtual addresses." in shown
        for view in (ours, theirs):
            assert f"{view['address']:#x}" in shown
    sh.unlink("shm://a")


def _frame(address: int) -> int:
    with open("/proc/self/pagemap", "rb") as table:
        table.seek(address // PAGE * 8)
        return struct.unpack("<Q", table.read(8))[0] & (1 << 55) - 1


def test_a_page_that_the_data_has_not_is_refused() -> None:
    sh.create("a.npy", 1000)
    assert "from 0 to 1, got 2" in refusal("info", "a.npy", "--page", "2")
    sh.create("empty.npy", 0)
    assert call("info", "--json", "empty.npy").json["views"] == []
    assert call("info", "empty.npy").code == 0
    assert call("info", "a.npy", "--page", "-1").code == 2


def test_a_file_of_numpy_is_shown_as_one_of_sharray() -> None:
    np.save("a.npy", np.zeros(3))
    sh.create("b.npy", 3)
    os.chmod("a.npy", 0o600)
    theirs, ours = (call("info", "--json", name).json for name in ("a.npy", "b.npy"))
    differ = {"name", "path", "created", "modified", "dirty"}
    assert [key for key in ours if ours[key] != theirs[key] and key not in differ] == []
    assert "no process" in call("info", "a.npy").out


def test_a_fault_is_shown_while_the_file_is_mapped() -> None:
    a = sh.create("a.npy", 3)
    assert "none" in _shown_fault("a.npy")
    failing_flush(a, errno.ENOSPC)
    assert "No space left on device" in _shown_fault("a.npy")


def test_a_fault_and_an_unfinished_change_in_ram_are_shown() -> None:
    a = sh.create("shm://a", 3)
    with open(str(a.filename), "r+b") as file:
        file.seek(-PAGE + 128, os.SEEK_END)
        file.write(struct.pack("<Q", 1))
        file.seek(-PAGE + 192, os.SEEK_END)
        file.write(struct.pack("<Q", 28))
    assert "No space left on device" in _shown_fault("shm://a")
    assert "updating" in call("info", "shm://a").out
    sh.unlink("shm://a")


def _shown_fault(name: str) -> str:
    lines = [line.split() for line in call("info", name).out.splitlines()]
    [words] = [words for words in lines if words[:1] == ["fault"]]
    return " ".join(words)


def test_what_is_no_array_is_refused_in_one_line(tmp_ram: str) -> None:
    os.mkfifo("fifo.npy")
    Path("text.npy").write_text("\x1b[2Jhello\nworld")
    Path("empty.npy").write_bytes(b"")
    for name in ("fifo.npy", "text.npy", "empty.npy", "nowhere.npy", ".", "/dev/zero"):
        refusal("info", name)
    refusal("info", "nowhere\x1b[31m.npy")
    refusal("info", "")
    refusal("info", "shm://")


def test_a_file_that_is_truncated_while_it_is_looked_at_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = sh.create("a.npy", 100_000)
    del a
    status = files.status

    def truncate_after(fd: int) -> os.stat_result:
        found = status(fd)
        os.truncate("a.npy", 5000)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(files, "status", truncate_after)
        assert call("info", "a.npy").code in (0, 1)
    assert "truncated" in refusal("info", "a.npy")


# Another user may not be able to import anything, so each command has run before.
AS_ANOTHER_USER = """
import ctypes, io, os, sys
import sharray as sh
from sharray.cli import main
def run(*arguments):
    sys.argv = ["sharray", *arguments]
    try:
        main()
    except SystemExit as ended:
        print("exit", ended.code or 0)
path, own = sys.argv[1:]
sys.stderr, shown, sys.stdout = sys.stdout, sys.stdout, io.StringIO()
for command in "info", "ls", "verify", "rm":
    run(command, path, *(["--dry-run"] if command == "rm" else []))
sys.stderr = sys.stdout = shown
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: it may look at itself again
for command in "info", "ls", "verify", "rm":
    run(command, path)
a = sh.create(own, 1000, fill_value=1)
run("info", own)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_is_denied_in_one_line_and_sees_no_frames_of_its_own() -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        path, own = os.path.join(place, "a.npy"), os.path.join(place, "own.npy")
        sh.create(path, 3)
        done = start_python(AS_ANOTHER_USER, path, own)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Traceback" not in done.stdout
        denied, shown = done.stdout.split(own, 1)
        assert denied.count("permission denied") == 4
        assert denied.count("exit") == 4
        assert "exit 0" not in denied
        assert os.path.exists(path)
    assert "Run this as root to see the physical frame" in shown
    assert shown.count("0x") == 2
    assert "exit 0" in shown
