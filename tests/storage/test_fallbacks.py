"""File systems that cannot do what Linux's own can."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import sharray as sh
from sharray.storage.lifetime import lease
from sharray.system import files, locks, memory


@pytest.fixture
def _without_unnamed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "open_unnamed", lambda directory: None)


@pytest.mark.usefixtures("_without_unnamed_files")
@pytest.mark.parametrize("name", ["field.npy", "shm://field"])
def test_named_arrays_are_made_without_unnamed_files(name: str) -> None:
    a = sh.create(name, 3, fill_value=1)
    path = Path(str(a.filename))
    old = sh.open(name)
    with pytest.raises(sh.ArrayExistsError):
        sh.create(name, 3)
    sh.create(name, 3, fill_value=2, overwrite=True)
    assert old.tolist() == [1, 1, 1]
    assert sh.open(name).tolist() == [2, 2, 2]
    assert list(path.parent.glob(f"*{path.name}*")) == [path]
    sh.unlink(name)


@pytest.mark.usefixtures("_without_unnamed_files")
def test_anonymous_arrays_are_made_without_unnamed_files() -> None:
    a = sh.full(3, 5)
    assert sh.gc() == []
    assert pickle.loads(pickle.dumps(a)).tolist() == [5, 5, 5]


@pytest.mark.usefixtures("_without_unnamed_files")
def test_file_reaped_before_it_is_leased_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hold, removed = lease.hold, []

    def reaped_first(fd: int, path: str) -> None:
        if not removed:
            os.unlink(path)
            removed.append(path)
        hold(fd, path)

    monkeypatch.setattr(lease, "hold", reaped_first)
    a = sh.full(3, 5)
    assert len(removed) == 1
    assert pickle.loads(pickle.dumps(a)).tolist() == [5, 5, 5]


@pytest.mark.parametrize("name", ["a.npy", "shm://a"])
def test_what_a_killed_overwrite_left_is_removed(name: str) -> None:
    path = Path(str(sh.create(name, 3).filename))
    left = path.with_name(f".{path.name}.0.new")
    left.write_bytes(b"half of a file")
    if name == "shm://a":
        assert [info.name for info in sh.list()] == ["shm://a"]
        assert sh.gc() == [str(left)]
        left.write_bytes(b"half of a file")
    sh.create(name, 2, overwrite=True)
    assert not left.exists()
    sh.unlink(name)


def test_missing_locks_do_not_matter_on_a_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no locks here")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    sh.create("a.npy", 3)[0] = 1
    assert sh.open("a.npy")[0] == 1


def test_write_back_that_cannot_be_started_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synced = []
    monkeypatch.setattr(memory, "_sync_file_range", None)
    monkeypatch.setattr(memory, "sync", lambda *where: synced.append(where))
    a = sh.create("a.npy", 3)
    a.flush(wait=False)
    assert len(synced) == 1


def test_read_only_look_at_an_anonymous_array_can_be_sent() -> None:
    a = sh.full(3, 5)
    a._root.segment.publish()
    path = a._root.segment.path
    for mode in ("r", "c"):
        b = sh.open(path, mode=mode)
        assert pickle.loads(pickle.dumps(b)).tolist() == [5, 5, 5]
    assert np.shares_memory(a, a)
