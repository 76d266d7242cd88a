"""What publishing does if the system or a disk fails: the old array stays."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import disks
import faults
import numpy as np
import pytest
from hostile import refused
from workers import start_python

import sharray as sh
from sharray.storage import naming
from sharray.system import files, memory

OLD, NEW = 7.0, 8.0


def publish(path: str | Path, within: Callable[[Any], None] = lambda new: None) -> None:
    with sh.publish(path, 1000) as new:
        new[:] = NEW
        within(new)


@contextmanager
def unchanged(path: str | Path = "a.npy") -> Iterator[None]:
    """Check that an array stays, and that no file comes."""
    sh.create(path, 1000, fill_value=OLD, overwrite=True)
    before = os.listdir(os.path.dirname(os.path.abspath(path)))
    descriptors = len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()  # the error refers to the array
    assert (np.load(path) == OLD).all()
    assert os.listdir(os.path.dirname(os.path.abspath(path))) == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_failed_fsync_publishes_nothing() -> None:
    with unchanged(), faults.failing({"fsync": errno.EIO}, os.getcwd()):
        refused(sh.StorageError, lambda: publish("a.npy"), "a.npy", "a.npy")


def test_a_failed_flush_publishes_nothing_even_if_its_error_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(address: int, nbytes: int) -> None:
        raise OSError(errno.EIO, "made up")

    def flush(new: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(memory, "sync", fail)
            with pytest.raises(sh.FlushError):
                new.flush()

    with unchanged():
        refused(sh.FlushError, lambda: publish("a.npy", flush), "did not reach")
    publish("a.npy")  # a fault of the file that has gone says nothing about this one
    assert (np.load("a.npy") == NEW).all()


@pytest.mark.parametrize("missing", ["linkat", "tmpfile"])
def test_without_links_of_unnamed_files_it_has_a_temporary_name(missing: str) -> None:
    def look(new: Any) -> None:
        assert sorted(os.listdir()) == [".a.npy.0.new", "a.npy"]

    sh.create("a.npy", 3)
    with faults.failing({missing: errno.EOPNOTSUPP}, os.getcwd()):
        publish("a.npy", look)
    assert (np.load("a.npy") == NEW).all()
    assert os.listdir() == ["a.npy"]


def test_a_link_that_fails_only_at_the_end_is_an_error_and_then_avoided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(naming, "_can_name", {})

    def forbid(new: Any) -> None:
        monkeypatch.setattr(files, "link_unnamed", fail)

    def fail(fd: int, path: str) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    with unchanged():
        refused(sh.StorageError, lambda: publish("a.npy", forbid), "publish it again")
    publish("a.npy")
    assert (np.load("a.npy") == NEW).all()
    assert os.listdir() == ["a.npy"]


def test_a_ram_directory_that_was_tidied_meanwhile_is_made_again() -> None:
    with sh.publish("shm://run/a", 3) as new:
        new[:] = NEW
        other = sh.create("shm://run/b", 3)
        directory = os.path.dirname(str(other.filename))
        del other
        sh.unlink("shm://run/b")  # which removes the directory
        assert not os.path.exists(directory)
    assert sh.open("shm://run/a").tolist() == [NEW] * 3
    sh.unlink("shm://run/a")


# -- a full disk -------------------------------------------------------------------


@disks.needs_disks
def test_a_full_disk_refuses_the_block_and_leaves_the_old_array(
    tmp_path: Path,
) -> None:
    with disks.disk(tmp_path) as disk:
        path = disk.path / "a.npy"
        for size in (200 << 20, 50 << 20):  # too large, and too large beside another

            def attempt(size: int = size) -> None:
                with sh.publish(path, size, "u1"):
                    pytest.fail("the block began")

            with sh.publish(disk.path / "other.npy", 20 << 20, "u1"), unchanged(path):
                refused(sh.NoSpaceError, attempt, "are free in", path)


IN_A_FULL_DISK = """
import errno, sys
import numpy as np
import sharray as sh
with sh.publish("a.npy", 20 << 20, "u1") as new:
    with open("filler", "wb") as filler:
        try:
            while True:
                filler.write(bytes(1 << 20))
                filler.flush()
        except OSError as error:
            assert error.errno == errno.ENOSPC
    new[:] = 8
print((np.load("a.npy") == 8).all(), new.is_current())
"""


@disks.needs_disks
def test_a_disk_that_is_full_meanwhile_has_room_for_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disks.disk(tmp_path) as disk:
        monkeypatch.chdir(disk.path)
        sh.create("a.npy", 10, fill_value=OLD)
        ended = start_python(IN_A_FULL_DISK)
        monkeypatch.undo()
        assert (ended.stderr, ended.returncode) == ("", 0)
        assert ended.stdout == "True True\n"
