"""Appends under kills, beside readers, and through power cuts, for a short time each.

``python -m torture.growing`` runs longer ones.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import disks
import pytest

import sharray as sh
from sharray.storage import growing as appending
from sharray.system import locks
from torture import growing

pytestmark = pytest.mark.torture


def new(path: Path) -> str:
    """Create an array without rows."""
    sh.create(path, (0, growing.WIDTH), "i8", growable=True)
    return str(path)


@pytest.fixture(params=["disk", "ram"])
def place(request: pytest.FixtureRequest, tmp_path: Path, tmp_ram: str) -> Path:
    """A directory on a disk, and one on a RAM disk."""
    return tmp_path if request.param == "disk" else Path(tmp_ram)


def test_killed_appenders_lose_and_tear_nothing(place: Path) -> None:
    assert growing.kill_appenders(new(place / "a.npy"), 15) > 15


def test_without_locks_rows_would_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoLock:
        def __init__(self, fd: int, offset: int) -> None:
            self.fd = fd
            self.acquire_now = self.acquire = self.release = lambda: None

    monkeypatch.setattr(locks, "ByteLock", NoLock)
    with pytest.raises((AssertionError, sh.StorageError)):
        growing.kill_appenders(new(tmp_path / "a.npy"), 30)


def test_loads_beside_appends_see_whole_rows(place: Path) -> None:
    assert growing.append_beside_readers(new(place / "a.npy"), 1000) > 0


@disks.needs_disks
def test_flushed_rows_survive_power_cuts(tmp_path: Path) -> None:
    with disks.disk(tmp_path) as disk:
        assert growing.cut_power(disk, 4) > 4


@disks.needs_disks
def test_without_fsync_they_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoFsync:
        fsync = staticmethod(lambda fd: None)

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    monkeypatch.setattr(appending, "os", NoFsync())
    with pytest.raises(AssertionError), disks.disk(tmp_path) as disk:
        growing.cut_power(disk, 4)
