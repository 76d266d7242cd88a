"""Snapshots by copying, which every file system can."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults
import numpy as np
import pytest
from hostile import refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh

FORK = multiprocessing.get_context("fork")
RAM = "/dev/shm" if os.path.isdir("/dev/shm") else None  # where fsync is free


@pytest.fixture(autouse=True)
def _remove() -> Iterator[None]:
    yield
    for info in sh.list():
        sh.unlink(info.name)


MAKE: dict[str, Callable[[], Any]] = {
    "on a disk": lambda: sh.create("a.npy", (3, 4), "i4", order="F"),
    "in RAM": lambda: sh.create("shm://a", (3, 4), "i4", order="F"),
    "anonymous": lambda: sh.zeros((3, 4), "i4", order="F"),
    "received": lambda: pickle.loads(pickle.dumps(sh.zeros((3, 4), "i4", "F"))),
    "read-only": lambda: sh.open(sh.create("a.npy", (3, 4), "i4").filename, "r"),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
@pytest.mark.parametrize("target", ["copy.npy", "shm://run/copy"])
def test_a_snapshot_has_the_values_of_the_whole_array(
    make: Callable[[], Any], target: str
) -> None:
    a = make()
    if a.mode == "r+":
        a[...] = np.arange(12).reshape(3, 4)
    expected = np.array(a, order="K")
    assert sh.snapshot(a, target) is False
    found = sh.open(target)
    if a.mode == "r+":
        a[...] = 0
    assert (found.dtype, found.tolist()) == (expected.dtype, expected.tolist())
    assert found.flags.f_contiguous == expected.flags.f_contiguous
    if target == "copy.npy":
        np.save("numpy.npy", expected)
        assert Path(target).read_bytes() == Path("numpy.npy").read_bytes()


@given(
    array=hnp.arrays(
        hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)
    ),
    order=st.sampled_from("CF"),
    named=st.booleans(),
)
def test_a_snapshot_has_the_bytes_of_numpy(array: Any, order: Any, named: bool) -> None:
    with tempfile.TemporaryDirectory(dir=RAM) as directory:
        np.save(f"{directory}/numpy.npy", np.asarray(array, order=order))
        expected = Path(f"{directory}/numpy.npy").read_bytes()
        if named:
            shape, dtype = array.shape, array.dtype
            a = sh.create(f"{directory}/a.npy", shape, dtype, order=order)
            a[...] = array
        else:
            a = sh.array(array, order=order)
        sh.snapshot(a, f"{directory}/b.npy")
        assert Path(f"{directory}/b.npy").read_bytes() == expected


def test_a_large_array_is_copied_in_parts() -> None:
    a = sh.create("shm://a", 3 << 20, "i8", fill_value=np.arange(3 << 20))
    sh.snapshot(a, "b.npy")
    assert (np.load("b.npy") == np.arange(3 << 20)).all()


def test_private_changes_are_in_it() -> None:
    sh.create("a.npy", 3, fill_value=1)
    a = sh.open("a.npy", "c")
    a[0] = 2
    sh.snapshot(a, "b.npy")
    assert np.load("b.npy").tolist() == [2, 1, 1]
    assert np.load("a.npy").tolist() == [1, 1, 1]


def test_what_follows_the_data_in_a_file_is_not_in_it() -> None:
    np.save("a.npy", np.arange(3))
    expected = Path("a.npy").read_bytes()
    Path("a.npy").write_bytes(expected + b"more")
    sh.snapshot(sh.open("a.npy"), "b.npy")
    assert Path("b.npy").read_bytes() == expected


def test_a_file_that_is_gone_is_saved_from_memory() -> None:
    a = sh.create("a.npy", 3, fill_value=1)
    os.unlink("a.npy")
    sh.snapshot(a, "b.npy")
    np.save("a.npy", np.zeros(3))  # another one
    sh.snapshot(a, "c.npy")
    for name in ("b.npy", "c.npy"):
        assert np.load(name).tolist() == [1, 1, 1]


# -- refused -----------------------------------------------------------------------


def test_a_name_that_is_taken_is_replaced_only_on_request() -> None:
    a = sh.create("a.npy", 3, fill_value=1)
    old = sh.create("b.npy", 2, fill_value=7)
    refused(sh.ArrayExistsError, lambda: sh.snapshot(a, "b.npy"), "", "b.npy")
    assert np.load("b.npy").tolist() == [7, 7]
    sh.snapshot(a, "b.npy", overwrite=True)
    assert np.load("b.npy").tolist() == [1, 1, 1]
    assert not old.is_current()
    assert sorted(os.listdir()) == ["a.npy", "b.npy"]


def test_views_and_private_arrays_are_refused() -> None:
    a = sh.create("a.npy", (3, 4))
    views = a[1:], a[:, ::2], a.T, a.reshape(12), a.view("i8"), a[::-1], a[:0]
    for view in views:
        refused(
            sh.NotSharedError,
            lambda view=view: sh.snapshot(view, "b.npy"),
            r"expected the whole array.*\(3, 4\), got .*sharray.create",
        )
    private: Any
    for private in (a.copy(), a[[0, 1]], np.zeros(3)):
        refused(
            sh.NotSharedError,
            lambda private=private: sh.snapshot(private, "b.npy"),
            "numpy.save",
        )
    sh.snapshot(a[:], "b.npy")
    assert sorted(os.listdir()) == ["a.npy", "b.npy"]


@pytest.mark.parametrize("cut", [1, 8, 60_000])
def test_a_truncated_file_is_refused(cut: int) -> None:
    a = sh.create("a.npy", 10_000, fill_value=1)
    os.truncate("a.npy", os.path.getsize("a.npy") - cut)
    refused(sh.StorageError, lambda: sh.snapshot(a, "b.npy"), "truncated", "a.npy")
    assert os.listdir() == ["a.npy"]


def test_a_full_disk_leaves_nothing() -> None:
    a = sh.create("shm://a", 3)
    with faults.failing({"fsync": errno.ENOSPC}, os.getcwd()):
        refused(sh.NoSpaceError, lambda: sh.snapshot(a, "b.npy"), "needs", "b.npy")
    assert os.listdir() == []


# -- growable arrays -----------------------------------------------------------------


def append_until(name: str, ready: Any, stop: Any) -> None:
    a = sh.open(name)
    ready.set()
    row = len(a)
    while not stop.is_set():
        row = 1 + a.append([[row] * 5])


@pytest.mark.parametrize("name", ["a.npy", "shm://a"])
def test_a_snapshot_of_a_growable_array_has_whole_rows(name: str) -> None:
    a = sh.create(name, (0, 5), "i8", growable=True)
    a.append([[0] * 5])
    ready, stop = FORK.Event(), FORK.Event()
    appender = FORK.Process(target=append_until, args=(name, ready, stop))
    appender.start()
    ready.wait()
    rows = 0
    for number in range(10):
        a.wait_longer(rows + 1)
        before = len(a.latest())
        sh.snapshot(a, f"b{number}.npy")
        found = np.load(f"b{number}.npy")
        assert (found == np.arange(len(found))[:, None]).all()
        assert before <= len(found) <= len(a.latest())
        rows = len(found)
    stop.set()
    appender.join()
    assert appender.exitcode == 0
    again = sh.open("b9.npy")
    assert again.append([[7] * 5] * 2) == rows
    assert len(again.latest()) == rows + 2


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_growable_array_is_whole_with_the_rows_of_any_time(order: str) -> None:
    shape = (0, 3) if order == "C" else (3, 1)
    a = sh.create("a.npy", shape, "f4", order=order, growable=True)
    a.append(np.arange(6).reshape((2, 3) if order == "C" else (3, 2)))
    b = a.latest()
    a.append(np.ones(3))
    sh.snapshot(a, "first.npy")  # before anybody has asked for the latest rows
    assert np.load("first.npy").tolist() == a.latest().tolist()
    for number, each in enumerate((a, b, a.latest(), sh.open("a.npy", "r"))):
        sh.snapshot(each, f"b{number}.npy")
        assert np.load(f"b{number}.npy").tolist() == a.latest().tolist()
    for view in (b[1:], b[:, 1:], b.T, b[::-1]):
        refused(sh.NotSharedError, lambda view=view: sh.snapshot(view, "c.npy"))
