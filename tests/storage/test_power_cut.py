"""Flushed is durable: what is left after a power cut, on a real file system."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import disks
import numpy as np
import pytest

import sharray as sh
from sharray.arrays.core import SharedArray
from sharray.system import files

pytestmark = [pytest.mark.slow, disks.needs_disks]
PAGES = 64
PAGE = 4096


def after_flushing_half(directory: Path) -> np.ndarray:
    """Flush half of an array, cut the power, and read what is there."""
    with disks.disk(directory) as disk:
        a = sh.create(disk.path / "a.npy", (PAGES, PAGE), "u1", fill_value=1)
        a[...] = 2
        a[: PAGES // 2].flush()
        del a
        disk.cut_power()
        return np.load(disk.path / "a.npy")


def test_flushed_pages_survive_and_others_need_not(tmp_path: Path) -> None:
    found = after_flushing_half(tmp_path)
    assert (found[: PAGES // 2] == 2).all()
    # That some are lost shows that the power cut is one; the kernel writes
    # neighbours along with what it must.
    assert (found[PAGES // 2 :] == 1).any()


def test_without_msync_they_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedArray, "flush", lambda self: None)
    assert (after_flushing_half(tmp_path) == 1).all()


def created_before_the_cut(directory: Path) -> list[str]:
    """Create arrays, one over another, cut the power; which values are there."""
    with disks.disk(directory) as disk:
        sh.create(disk.path / "a.npy", 10, fill_value=1)
        sh.create(disk.path / "a.npy", 10, fill_value=2, overwrite=True)
        sh.create(disk.path / "b.npy", 10, fill_value=3)
        disk.cut_power()
        return [
            f"{name}={int(np.load(disk.path / name)[9])}"
            for name in ("a.npy", "b.npy")
            if (disk.path / name).exists()
        ]


def test_created_names_and_values_survive(tmp_path: Path) -> None:
    assert created_before_the_cut(tmp_path) == ["a.npy=2", "b.npy=3"]


def test_without_syncing_the_directory_names_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "sync_directory", lambda path: None)
    assert created_before_the_cut(tmp_path) != ["a.npy=2", "b.npy=3"]


def published_before_the_cut(directory: Path) -> list[np.ndarray]:
    """Publish one array, begin to publish another, cut the power, and read both."""
    with disks.disk(directory) as disk:
        names = [disk.path / name for name in ("a.npy", "b.npy")]
        for name in names:
            sh.create(name, (PAGES, PAGE), "u1", fill_value=1)
        with sh.publish(names[0], (PAGES, PAGE), "u1") as new:
            new[...] = 2
        with suppress(KeyError), sh.publish(names[1], (PAGES, PAGE), "u1") as new:
            new[...] = 2
            raise KeyError
        del new
        disk.cut_power()
        assert sorted(os.listdir(disk.path)) == ["a.npy", "b.npy", "lost+found"]
        # Without np.load, which refuses a header of zeros.
        return [np.fromfile(name, "u1")[-PAGES * PAGE :] for name in names]


def test_what_was_published_survives(tmp_path: Path) -> None:
    published, old = published_before_the_cut(tmp_path)
    assert (published == 2).all()
    assert (old == 1).all()


def test_without_syncing_the_file_values_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "sync_file", lambda fd: None)
    published, _ = published_before_the_cut(tmp_path)
    assert not (published == 2).all()
