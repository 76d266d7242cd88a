"""`inspect` and `list`: what they tell, against what the system says otherwise."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest

import sharray as sh

PAGE = mmap.PAGESIZE
HOLD = """
import sys, sharray as sh
a = sh.open(sys.argv[1], mode=sys.argv[2])
a[:1].sum()
print(a.ctypes.data, flush=True)
sys.stdin.read()
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextmanager
def holder(name: str, mode: str = "r+", **options: Any) -> Iterator[tuple[int, int]]:
    """A process that has an array open: its number, and where its data begins."""
    command = [sys.executable, "-c", HOLD, name, mode]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, **options) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.communicate()


@pytest.fixture(params=["a.npy", "shm://a"])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield str(request.param)
    sh.unlink(request.param)


def drop_from_memory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


# -- what it is --------------------------------------------------------------


def test_it_tells_what_the_file_is(name: str) -> None:
    before = datetime.now(UTC)
    a = sh.create(name, (30, 40), "f4", order="F")
    found = sh.inspect(a)
    assert (found.dtype, found.shape, found.order) == (a.dtype, a.shape, "F")
    in_ram = name.startswith("shm:")
    assert (found.nbytes, found.data_offset) == (a.nbytes, 4096 if in_ram else 128)
    assert found.path == a.filename
    assert found.file_size == os.stat(str(a.filename)).st_size
    assert found.durable is a.durable is (not in_ram)
    assert found.created is not None
    assert found.modified is not None
    second = timedelta(seconds=1)  # file systems round their times down
    assert before - second <= found.created <= datetime.now(UTC)
    assert before - second <= found.modified <= datetime.now(UTC)
    assert len(str(found.uuid)) == 32 if in_ram else found.uuid is None
    assert (found.state, found.fault, found.anonymous) == ("clean", None, False)


def test_by_array_by_view_and_by_name_it_tells_the_same(name: str) -> None:
    a = sh.create(name, 10_000)
    assert sh.inspect(a) == sh.inspect(a[5000:]) == sh.inspect(name)
    assert sh.inspect(name) in sh.list("shm://" if name.startswith("shm:") else ".")


def test_a_file_of_numpy_is_told_as_our_own_is() -> None:
    sh.create("a.npy", 10, "i2")
    np.save("b.npy", np.zeros(10, dtype="i2"))
    own, found = sh.inspect("a.npy"), sh.inspect("b.npy")
    differ = {"name", "path", "created", "modified", "dirty"}
    for field in set(found._fields) - differ:
        assert getattr(found, field) == getattr(own, field), field
    assert (found.uuid, found.in_use, found.holders) == (None, False, ())


def test_an_array_that_can_grow_is_told_with_its_present_rows(name: str) -> None:
    a = sh.create(name, (0, 3), "f4", growable=True)
    assert (sh.inspect(name).growable, sh.inspect(name).shape) == (True, (0, 3))
    a.append([1, 2, 3])
    for found in (sh.inspect(name), sh.inspect(a)):
        assert (found.growable, found.shape, found.nbytes) == (True, (1, 3), 12)
    del a  # the last holder
    assert sh.inspect(name).shape == (1, 3)
    assert not sh.inspect(sh.create("fixed.npy", 3)).growable


def test_a_time_that_no_calendar_has_is_left_out() -> None:
    sh.create("shm://a", 3)
    path = sh.inspect("shm://a").path
    assert path is not None
    os.utime(path, (0, 10**12))  # the year 33658
    assert sh.inspect("shm://a").modified is None
    assert [found.name for found in sh.list()] == ["shm://a"]
    sh.unlink("shm://a")


def test_a_fault_is_told() -> None:
    a = sh.create("a.npy", 10)
    a._root.segment.set_fault(5)  # type: ignore[union-attr]  # as a failed flush does
    assert sh.inspect("a.npy").fault == os.strerror(5)
    sh.clear_fault("a.npy")
    assert sh.inspect("a.npy").fault is None


def test_whatever_the_trailer_says_is_told_and_not_believed() -> None:
    a = sh.create("shm://a", 10)
    with open(a.filename, "r+b") as file:
        file.seek(-4096 + 64, os.SEEK_END)
        file.write(b"\xff" * (256 - 64) + bytes(range(240)) * 16)
    found = sh.inspect("shm://a")
    assert found.state == found.fault == f"unknown ({2**64 - 1})"
    assert found.in_transit == 96
    sh.unlink("shm://a")


# -- who holds it ------------------------------------------------------------


def test_holders_are_the_processes_that_have_it_mapped(name: str) -> None:
    sh.create(name, 1000)
    assert sh.inspect(name).holders == ()
    assert not sh.inspect(name).in_use
    with holder(name) as (pid, address), holder(name, "r") as (reader, _):
        found = sh.inspect(name)
        assert found.in_use
        assert {one.pid for one in found.holders} == {pid, reader}
        [mapping] = next(one for one in found.holders if one.pid == pid).mappings
        assert mapping.address == address - found.data_offset
        assert (mapping.offset, mapping.permissions) == (0, "rw-s")
        [read_only] = next(one for one in found.holders if one.pid == reader).mappings
        assert read_only.permissions == "r--s"
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode().split("\0")
        assert words[:3] == [sys.executable, "-c", HOLD]
        assert next(one for one in found.holders if one.pid == pid).command == (
            " ".join(words).rstrip()
        )
    assert sh.inspect(name).holders == ()


def test_an_array_that_is_opened_twice_is_mapped_twice(name: str) -> None:
    arrays = [sh.create(name, 1000), sh.open(name), sh.open(name, mode="c")]
    [this] = sh.inspect(name).holders
    expected = [array.ctypes.data - array.offset for array in arrays]
    assert [one.address for one in this.mappings] == sorted(expected)
    assert sorted(one.permissions for one in this.mappings) == ["rw-p", "rw-s", "rw-s"]


def test_a_forked_child_is_a_holder(name: str) -> None:
    a = sh.create(name, 10)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=theirs.recv)
    child.start()
    assert {one.pid for one in sh.inspect(a).holders} == {os.getpid(), child.pid}
    ours.send("end")
    child.join()
    ours.close()
    theirs.close()


def test_looking_holds_nothing(name: str) -> None:
    sh.create(name, 1000)
    for _ in range(3):
        assert not sh.inspect(name).in_use
        assert sh.list() == sh.list()


def test_looking_at_the_last_holders_array_does_not_keep_it() -> None:
    a = sh.ones(1000)
    sent = pickle.dumps(a)  # gives it a name
    [found] = sh.list()
    assert (found.anonymous, found.in_transit, found.in_use) == (True, 1, True)
    assert pickle.loads(sent) is not None
    assert sh.inspect(a).in_transit == 0
    del a
    assert sh.list() == []


def test_an_array_that_was_never_sent_keeps_having_no_name() -> None:
    a = sh.ones(1000)
    found = sh.inspect(a)
    assert (found.path, found.anonymous, found.resident) == (None, True, 4 * PAGE)
    assert [one.pid for one in found.holders] == [os.getpid()]
    assert sh.list() == []


def test_an_array_whose_file_was_removed_still_has_holders(name: str) -> None:
    a = sh.create(name, 1000)
    with holder(name) as (pid, _):
        sh.unlink(name)
        found = sh.inspect(a)
        assert (found.path, found.modified) == (None, None)
        assert {one.pid for one in found.holders} == {os.getpid(), pid}
    sh.create(name, 3)  # the fixture removes it


@needs_root
def test_processes_of_other_users_are_not_seen_but_known_of(tmp_path: Path) -> None:
    path = Path("/var/tmp") / f"sharray-{tmp_path.name}-{os.getpid()}.npy"
    a = sh.create(path, 10, permissions=0o666)
    reading, writing = os.pipe()
    try:
        child = os.fork()
        if child == 0:
            try:
                os.setgid(65534)
                os.setuid(65534)
                found = sh.inspect(path)
                seen = [one.pid == os.getpid() for one in found.holders]
                told = found.in_use, seen, found.resident is not None
                os.write(writing, repr(told).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reading, 100) == b"(True, [True], True)"
        assert len(sh.inspect(a).holders) == 1
    finally:
        path.unlink()
        os.close(reading)
        os.close(writing)


# -- what is in memory -------------------------------------------------------


def test_resident_is_what_was_touched(tmp_path: Path) -> None:
    a = sh.create("a.npy", (1000, PAGE), "u1")
    a.flush()
    drop = str(a.filename)
    del a
    drop_from_memory(drop)
    before = sh.inspect("a.npy").resident
    assert before in (0, PAGE)  # the header's page at most
    with open("a.npy", "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for page in (300, 301, 500):
            os.pread(file.fileno(), 1, (1 + page) * PAGE)
    assert sh.inspect("a.npy").resident in (3 * PAGE, 4 * PAGE, 5 * PAGE)


def test_in_ram_room_is_taken_at_once_and_resident_when_touched() -> None:
    a = sh.create("shm://a", (1000, PAGE), "u1")
    found = sh.inspect(a)
    assert (found.resident, found.allocated) == (2 * PAGE, found.file_size)
    a[:10] = 1
    assert sh.inspect(a).resident == 12 * PAGE
    assert sh.inspect(a).dirty is None
    sh.unlink("shm://a")


def test_a_file_with_holes_has_less_allocated() -> None:
    np.lib.format.open_memmap("a.npy", mode="w+", shape=(1000, PAGE), dtype="u1")
    found = sh.inspect("a.npy")
    assert found.allocated == os.stat("a.npy").st_blocks * 512 < found.file_size


def test_dirty_is_what_a_flush_would_write() -> None:
    a = sh.create("a.npy", (100, PAGE), "u1")
    a.flush()
    assert sh.inspect(a).dirty == 0
    a[[3, 50, 51], 0] = 1
    assert sh.inspect(a).dirty == 3 * PAGE
    a[50, :1].flush()
    assert sh.inspect("a.npy").dirty == 2 * PAGE
    a.flush()
    assert sh.inspect("a.npy").dirty == 0


def test_dirty_counts_what_another_process_has_written() -> None:
    a = sh.create("a.npy", (100, PAGE), "u1")
    a.flush()
    code = "import sharray as sh; sh.open('a.npy')[7:9, 0] = 1"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert sh.inspect("a.npy").dirty == 2 * PAGE


def test_looking_brings_nothing_into_memory() -> None:
    a = sh.create("a.npy", (1000, PAGE), "u1")
    a.flush()
    del a
    drop_from_memory("a.npy")
    for _ in range(3):  # the header's page at most
        assert sh.inspect("a.npy").resident in (0, PAGE)


@needs_root
def test_one_physical_page_has_several_virtual_addresses(name: str) -> None:
    a = sh.create(name, 3 * PAGE, "u1", fill_value=1)
    a[0] = a[-1] = 2
    with holder(name) as (pid, address):
        views = sh.inspect(a).page(0)
        assert {(one.pid, one.address) for one in views} == {
            (os.getpid(), a.ctypes.data // PAGE * PAGE),
            (pid, address // PAGE * PAGE),
        }
        [frame] = {one.frame for one in views}
        assert frame
        last = (a.offset % PAGE + a.nbytes - 1) // PAGE
        others = {one.pid: one.frame for one in sh.inspect(a).page(last)}
        assert others[os.getpid()] not in (frame, None)


def test_a_page_that_is_not_there_is_refused() -> None:
    found = sh.inspect(sh.zeros(1000))
    assert len(found.page(1)) == 1
    with pytest.raises(IndexError, match="expected a page from 0 to 1, got 2"):
        found.page(2)


# -- what is not inspected ---------------------------------------------------


def test_a_private_copy_has_no_file() -> None:
    with pytest.raises(sh.NotSharedError, match="not shared"):
        sh.inspect(sh.zeros(4)[[1, 2]])


@pytest.mark.parametrize("kind", ["missing", "text", "directory", "fifo", "short"])
def test_what_is_no_array_is_refused_and_not_listed(kind: str) -> None:
    path = Path("x.npy")
    match kind:
        case "text":
            path.write_text("not an array")
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "short":
            path.write_bytes(hostile.npy(hostile.header_text(), data=b"1"))
    expected = sh.ArrayNotFoundError if kind == "missing" else sh.FormatError
    with pytest.raises(expected):
        sh.inspect(path)
    assert sh.list(".") == []


def test_directories_that_are_not_there_are_refused() -> None:
    with pytest.raises(sh.ArrayNotFoundError, match="expected a directory"):
        sh.list("nowhere")
    with pytest.raises(sh.ArrayNameError):
        sh.list("shm://../..")
    assert sh.list("shm://nothing") == []


def test_list_of_a_directory_tells_of_its_npy_files_only(tmp_path: Path) -> None:
    sh.create("b.npy", 3)
    sh.create("a.npy", 3)
    sh.create("other.dat", 3)
    (tmp_path / "below").mkdir()
    sh.create("below/c.npy", 3)
    assert [Path(one.name).name for one in sh.list(".")] == ["a.npy", "b.npy"]


def test_list_below_a_name_in_ram() -> None:
    for name in ("shm://run1/a", "shm://run1/deep/b", "shm://run2/a"):
        sh.create(name, 3)
    try:
        names = [one.name for one in sh.list("shm://run1/")]
        assert names == ["shm://run1/a", "shm://run1/deep/b"]
    finally:
        for one in sh.list():
            sh.unlink(one.name)
