"""Control pages: faults that all processes see, until the last holder ends."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import failing_flush

import sharray as sh
from sharray.storage import control_page, location
from sharray.system import file_identity


def pages() -> list[Path]:
    """The control pages of the files that the test made, which are below here."""
    found = []
    for page in Path(location.control_directory()).glob("*"):
        content = page.read_bytes()
        if os.fsencode(os.getcwd()) in content:
            found.append(page)
    return found


def identity(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        found = file_identity.identity_of(fd, os.fstat(fd))
    finally:
        os.close(fd)
    assert found is not None
    return found


def hold_and_tell(path: str, pipe: Any) -> None:
    """Hold an array, flush it when told to, and tell what came of it."""
    array = sh.open(path)
    pipe.send("open")
    while pipe.recv() != "end":
        try:
            array.flush()
        except sh.FlushError:
            pipe.send("failed")
        else:
            pipe.send("fine")


class Holder:
    """A process that holds an array."""

    def __init__(self, path: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=hold_and_tell, args=(path, theirs))
        self.process.start()
        assert self.pipe.recv() == "open"

    def flush(self) -> str:
        self.pipe.send("flush")
        return str(self.pipe.recv())

    def end(self) -> None:
        self.pipe.send("end")
        self.process.join()
        self.pipe.close()


def test_no_page_without_a_fault() -> None:
    a = sh.create("a.npy", 3)
    a.flush()
    assert pages() == []


def test_the_page_is_private() -> None:
    a = sh.create("a.npy", 3)
    failing_flush(a)
    [page] = pages()
    assert page.name == identity("a.npy").hex()
    assert page.stat().st_mode & 0o777 == 0o600
    assert page.parent.stat().st_mode & 0o777 == 0o700


def test_the_page_ends_with_the_last_array() -> None:
    a = sh.create("a.npy", 3)
    view, other = a[1:], sh.open("a.npy")
    failing_flush(a)
    del a
    assert len(pages()) == 1
    del view
    assert len(pages()) == 1  # the other has not looked at it yet
    with pytest.raises(sh.FlushError):
        other.flush()
    del other
    assert pages() == []
    sh.open("a.npy").flush()


def test_a_holder_that_never_looked_still_learns_of_a_fault() -> None:
    a = sh.create("a.npy", 3)
    other = Holder("a.npy")
    failing_flush(a)
    del a
    assert len(pages()) == 1
    assert other.flush() == "failed"
    sh.clear_fault("a.npy")
    assert other.flush() == "fine"
    other.end()
    assert pages() == []


def test_the_end_of_the_last_holder_ends_the_page() -> None:
    sh.create("a.npy", 3)
    code = """
import errno
import sharray as sh
from sharray.system import memory
def sync(address, nbytes):
    raise OSError(errno.EIO, "made up")
a = sh.open("a.npy")
memory.sync = sync
try:
    a.flush()
except sh.FlushError:
    print("failed")
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=-1, check=True)
    assert done.stdout == b"failed\n"
    assert pages() == []
    sh.open("a.npy").flush()


def test_the_page_of_killed_holders_is_swept() -> None:
    a = sh.create("a.npy", 3)
    other = Holder("a.npy")
    failing_flush(a)
    assert other.flush() == "failed"
    del a
    assert other.process.pid is not None
    os.kill(other.process.pid, signal.SIGKILL)
    other.process.join()
    [page] = pages()
    assert str(page) in sh.gc(dry_run=True)
    assert page.exists()
    assert str(page) in sh.gc()
    assert not page.exists()


def test_a_fork_holds_the_page() -> None:
    a = sh.create("a.npy", 3)
    failing_flush(a)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(writing)
            os.read(reading, 1)
        finally:
            os._exit(0)
    del a
    assert len(pages()) == 1
    with pytest.raises(sh.FlushError):
        sh.open("a.npy").flush()
    os.close(writing)
    os.close(reading)
    os.waitpid(child, 0)
    sh.gc()
    assert pages() == []


@pytest.mark.parametrize("how", ["copied", "replaced", "restored"])
def test_another_file_has_another_fault(how: str) -> None:
    a = sh.create("a.npy", 3)
    failing_flush(a)
    if how == "copied":
        shutil.copy2("a.npy", "b.npy")
        sh.open("b.npy").flush()
        return
    os.rename("a.npy", "old.npy")
    if how == "replaced":
        np.save("a.npy", np.zeros(3))
    else:
        shutil.copy2("old.npy", "a.npy")
    sh.open("a.npy").flush()
    with pytest.raises(sh.FlushError):
        a.flush()


def _reuse_the_inode(directory: str) -> bytes:
    """Return a handle to a file of which a new one has name, header and inode."""
    path = os.path.join(directory, "reused.npy")
    message = pickle.dumps(sh.create(path, 3, fill_value=1))
    inode = os.stat(path).st_ino
    for _ in range(200):
        os.unlink(path)
        sh.create(path, 3, fill_value=2)
        if os.stat(path).st_ino == inode:
            return message
    return b""


def test_a_handle_to_a_file_whose_inode_was_reused_is_refused(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as other:
        message = _reuse_the_inode(str(tmp_path)) or _reuse_the_inode(other)
        if not message:
            pytest.skip("NOT TESTED: no disk here reuses inodes")
        with pytest.raises(sh.ArrayGoneError):
            pickle.loads(message)


@pytest.mark.parametrize("content", [b"", b"x" * 8192, b"\x93SHARCTL" + bytes(8184)])
def test_a_strange_page_is_none(content: bytes) -> None:
    a = sh.create("a.npy", 3)
    directory = Path(location.control_directory())
    location.make_ram_directories(str(directory))
    page = directory / identity("a.npy").hex()
    page.write_bytes(content)
    try:
        a.flush()
        assert control_page.fault_of(identity("a.npy")) == 0
        assert sh.inspect(a).fault is None
    finally:
        page.unlink()
        location.tidy_ram_directories(str(directory))


def test_a_link_in_place_of_the_page_is_not_followed(tmp_path: Path) -> None:
    a = sh.create("a.npy", 3)
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    directory = Path(location.control_directory())
    location.make_ram_directories(str(directory))
    page = directory / identity("a.npy").hex()
    page.symlink_to(victim)
    try:
        a.flush()
        sh.gc()
        assert victim.read_bytes() == b""
    finally:
        page.unlink(missing_ok=True)
        location.tidy_ram_directories(str(directory))


def test_without_room_for_a_page_this_process_remembers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make(identity: bytes, path: str) -> Any:
        raise OSError(errno.ENOSPC, "made up")

    monkeypatch.setattr(control_page, "make", make)
    a = sh.create("a.npy", 3)
    failing_flush(a)
    with pytest.raises(sh.FlushError):
        a.flush()
    sh.clear_fault("a.npy")
