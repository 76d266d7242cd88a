"""Snapshots by cloning, on XFS: one moment of an array, while others write to it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import disks
import faults
import numpy as np
import pytest
from hostile import refused
from torture.dying import die_at
from torture.remains import still_locked_below

import sharray as sh
from sharray.system import files

pytestmark = disks.needs_xfs
FORK = multiprocessing.get_context("fork")
PAGES, PAGE = 1500, 512  # of 8 bytes


@pytest.fixture(scope="module")
def _xfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with disks.xfs(tmp_path_factory.mktemp("xfs")) as disk:
        yield disk.path


@pytest.fixture(autouse=True)
def _work_there(_xfs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(_xfs)
    yield
    for name in os.listdir():
        os.unlink(name)


def free() -> int:
    found = os.statvfs(".")
    return found.f_bfree * found.f_frsize


def write_pages(name: str, begun: Any) -> None:
    """Store 1, 2, 3 and so on to the first half of the pages, in their order."""
    a, number = sh.open(name), 0
    while True:
        number += 1
        for page in range(PAGES):
            a[page, 0] = number
        begun.set()


def repeat_pages(name: str, begun: Any) -> None:
    """Store to the other half what was seen in the first: effects of causes."""
    a = sh.open(name)
    while True:
        for page in range(PAGES):
            a[PAGES + page, 0] = a[PAGES - 1 - page, 0]
        begun.set()


def test_a_clone_is_a_cut_under_running_writers() -> None:
    a = sh.create("a.npy", (2 * PAGES, PAGE), "i8")
    writers = []
    for write in (write_pages, repeat_pages):
        begun = FORK.Event()
        writers.append(FORK.Process(target=write, args=("a.npy", begun)))
        writers[-1].start()
        begun.wait()
    in_the_middle = 0
    try:
        for _ in range(30):
            assert sh.snapshot(a, "b.npy", overwrite=True)
            pages = np.load("b.npy")[:, 0]
            causes, effects = pages[:PAGES], pages[PAGES:]
            assert (np.diff(causes) <= 0).all()
            assert causes[0] - causes[-1] <= 1
            assert (effects <= causes[::-1]).all()
            in_the_middle += causes[0] != causes[-1]
    finally:
        for writer in writers:
            writer.kill()
            writer.join()
    assert in_the_middle > 0, "the writers did not write meanwhile"


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_clone_has_the_bytes_of_numpy_and_takes_no_room(order: Any) -> None:
    values = np.arange(4 << 20).reshape((2, 2 << 20), order=order)
    np.save("a.npy", values)
    expected = Path("a.npy").read_bytes()
    Path("a.npy").write_bytes(expected + b"more")
    a = sh.open("a.npy", "r+")
    before = free()
    assert sh.snapshot(a, "b.npy")
    assert sh.snapshot(sh.open("a.npy", "r"), "c.npy")
    assert before - free() < values.nbytes / 10
    a[...] = 0
    assert Path("b.npy").read_bytes() == Path("c.npy").read_bytes() == expected
    b = sh.open("b.npy")
    b[0, 0] = 7
    b.flush()
    assert a[0, 0] == 0


def test_a_clone_of_a_growable_array_has_its_complete_rows() -> None:
    a = sh.create("a.npy", (0, 5), "i8", growable=True)
    a.append([[1] * 5] * 1000)
    assert sh.snapshot(a, "b.npy")
    with open("a.npy", "ab") as file:
        file.write(b"half a row")  # as an appender has that is not done
    assert sh.snapshot(a, "c.npy")
    for name in ("b.npy", "c.npy"):
        assert np.load(name).tolist() == [[1] * 5] * 1000
        assert os.path.getsize(name) == a.offset + a.latest().nbytes
        assert sh.open(name).append([0] * 5) == 1000


@contextmanager
def only(nbytes: int) -> Iterator[None]:
    """Leave this much room on the disk; let more be there at once afterwards."""
    os.sync()
    with open("filler", "wb") as file:
        size = free() - nbytes
        os.posix_fallocate(file.fileno(), 0, size)
        while free() > nbytes:  # the system needs some to keep track of it
            os.posix_fallocate(file.fileno(), size, 4096)
            size += 4096
        yield
        # XFS frees the blocks of a removed file later, but not those of an empty one.
        file.truncate(0)
    os.unlink("filler")


def store_in_a_child(a: sh.AnyArray, value: int) -> int:
    """Store to all pages in any order; return the exit status, as SIGBUS kills."""
    pages = np.random.default_rng(value).permutation(range(0, a.size, 4096))
    if (pid := os.fork()) == 0:
        a[pages] = value
        a[:] = value
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_less_room_than_the_array_needs_is_refused() -> None:
    a = sh.create("a.npy", 20 << 20, "u1", fill_value=1)
    with only(15 << 20):
        names = os.listdir()
        says = r"needs 20971648 bytes, \d+ are free"
        refused(sh.NoSpaceError, lambda: sh.snapshot(a, "b.npy"), says, "b.npy")
        assert os.listdir() == names
        assert store_in_a_child(a, 2) == 0  # every page has room as before
    assert (a == 2).all()
    assert sh.snapshot(a, "b.npy")
    a[:] = 3
    assert (np.load("b.npy") == 2).all()


def test_a_clone_is_not_kept_if_others_use_the_room_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = sh.create("a.npy", 20 << 20, "u1", fill_value=1)
    clone = files.clone_contents
    with ExitStack() as stack:

        def with_less_room_afterwards(source: int, target: int) -> bool:
            assert clone(source, target)
            # Let closing free nothing yet: the system may as well take its time.
            stack.callback(os.close, os.dup(target))
            stack.enter_context(only(15 << 20))
            return True

        monkeypatch.setattr(files, "clone_contents", with_less_room_afterwards)
        refused(sh.NoSpaceError, lambda: sh.snapshot(a, "b.npy"), "", "b.npy")
        assert store_in_a_child(a, 2) == 0
    assert (a == 2).all()


@pytest.mark.parametrize("nbytes", [100_000, 8 << 20])
@pytest.mark.parametrize("more", [0, 8 << 10, 128 << 10, 2 << 20])
def test_a_snapshot_leaves_room_for_every_store(nbytes: int, more: int) -> None:
    a = sh.create("a.npy", nbytes, "u1", fill_value=1)
    how = None
    with only(nbytes + a.offset + more):
        with suppress(sh.NoSpaceError):
            how = sh.snapshot(a, "b.npy")
        assert store_in_a_child(a, 2) == 0
        a.flush()
    assert (a == 2).all()
    assert how is None or (np.load("b.npy") == 1).all()
    assert (how is True) == (more == 2 << 20)  # else a copy, or refused


def test_a_clone_of_a_truncated_file_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clone = files.clone_contents

    def truncated_meanwhile(source: int, target: int) -> bool:
        os.truncate("a.npy", 4096)
        return clone(source, target)

    monkeypatch.setattr(files, "clone_contents", truncated_meanwhile)
    a = sh.create("a.npy", 10_000, fill_value=1)
    refused(sh.StorageError, lambda: sh.snapshot(a, "b.npy"), "truncated", "a.npy")
    assert os.listdir() == ["a.npy"]


NO_CUTS: dict[str, Callable[[], Any]] = {
    "private changes": lambda: sh.open("a.npy", "c"),
    "in RAM": lambda: sh.array(np.ones(1000)),
}


@pytest.mark.parametrize("make", NO_CUTS.values(), ids=NO_CUTS)
def test_what_is_in_no_file_here_is_copied(make: Callable[[], Any]) -> None:
    sh.create("a.npy", 1000)
    a = make()
    a[:] = 1
    assert not sh.snapshot(a, "b.npy")
    assert (np.load("b.npy") == 1).all()


def test_a_replaced_file_is_not_cloned_for_the_array() -> None:
    a = sh.create("a.npy", 1000, fill_value=1)
    b = sh.create("a.npy", 1000, fill_value=2, overwrite=True)
    assert (sh.snapshot(a, "c.npy"), sh.snapshot(b, "d.npy")) == (False, True)
    assert np.load("c.npy")[0] == 1
    os.rename("a.npy", "moved.npy")
    np.save("a.npy", np.zeros(1000))
    assert sh.snapshot(b, "e.npy")
    assert np.load("e.npy")[0] == 2


def test_another_file_system_gets_a_copy(tmp_path: Path) -> None:
    a = sh.create("a.npy", 1000, fill_value=1)
    assert not sh.snapshot(a, tmp_path / "b.npy")
    assert (np.load(tmp_path / "b.npy") == 1).all()


def test_a_file_system_that_is_not_known_to_cut_does_not_count_as_such() -> None:
    a = sh.create("a.npy", 1000, fill_value=1)
    with faults.failing({"fstatfs": errno.ENOSYS}, os.getcwd()):
        assert not sh.snapshot(a, "b.npy")
    assert (np.load("b.npy") == 1).all()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_call_it_leaves_a_complete_snapshot_or_none(moment: str) -> None:
    sh.create("a.npy", 1000, fill_value=1)
    n, died = 0, True
    while died:
        n += 1
        if (pid := os.fork()) == 0:
            try:
                a = sh.open("a.npy")
                die_at(moment, n)
                sh.snapshot(a, "b.npy")
            finally:
                os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        died = status == -signal.SIGKILL
        assert not still_locked_below(os.getcwd())
        if os.path.exists("b.npy"):
            assert (np.load("b.npy") == 1).all()
            os.unlink("b.npy")
        assert os.listdir() == ["a.npy"]
    assert n > 10


@pytest.mark.slow
@pytest.mark.parametrize("how", ["clone", "copy"])
def test_a_snapshot_survives_a_power_cut(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disks.xfs(tmp_path) as disk:
        path = disk.path / "b.npy"
        if how == "clone":
            a = sh.create(disk.path / "a.npy", 100_000)
        else:
            a = sh.zeros(100_000)
        a[:] = 1  # not flushed
        assert sh.snapshot(a, path) == (how == "clone")
        del a
        disk.cut_power()
        assert (np.load(path) == 1).all()
