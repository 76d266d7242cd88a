"""flush(): the right pages, and errors that nobody can miss."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import disks
import numpy as np
import pytest

import sharray as sh
from sharray.system import file_systems, memory

PAGE = memory.PAGE_SIZE


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The address ranges that were given to msync."""
    found: list[tuple[int, int]] = []
    sync = memory.sync

    def record(address: int, nbytes: int) -> None:
        found.append((address, nbytes))
        sync(address, nbytes)

    monkeypatch.setattr(memory, "sync", record)
    return found


@pytest.mark.parametrize(
    "index",
    [
        np.s_[...],
        np.s_[1000:2000],
        np.s_[5],
        np.s_[::-1],
        np.s_[10:20, 3:5],
        np.s_[::7, ::-2],
    ],
    ids=str,
)
def test_flush_syncs_the_bytes_under_this_view(
    index: Any, synced: list[tuple[int, int]]
) -> None:
    a = sh.create("a.npy", (3000, 100), "f4")
    view = a[index]
    view.flush()
    low, high = np.lib.array_utils.byte_bounds(view)
    assert synced == [(low, high - low)]


@pytest.mark.parametrize("made", ["shm://a", "anonymous", "copy", "empty"])
def test_flush_is_nothing_to_do_where_nothing_is_durable(
    made: str, synced: list[tuple[int, int]]
) -> None:
    sh.create("a.npy", 3)
    array = {
        "shm://a": lambda: sh.create("shm://a", 3),
        "anonymous": lambda: sh.zeros(3),
        "copy": lambda: sh.open("a.npy", mode="c"),
        "empty": lambda: sh.create("b.npy", (0, 3)),
    }[made]()
    array.flush()
    array.flush(wait=False)
    assert synced == []
    if made == "shm://a":
        sh.unlink("shm://a")


def test_disk_with_the_number_of_a_former_ram_disk_is_flushed(
    synced: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("a.npy", np.zeros(3))
    device = os.stat("a.npy").st_dev
    monkeypatch.setattr(file_systems, "_volatile_by_device", {device: True})
    a = sh.open("a.npy")
    a[:] = 1
    a.flush()
    assert (a.durable, len(synced)) == (True, 1)


def test_flush_without_waiting_starts_the_writing(
    monkeypatch: pytest.MonkeyPatch, synced: list[tuple[int, int]]
) -> None:
    started: list[tuple[int, int]] = []
    start = memory.start_writeback

    def record(fd: int, offset: int, nbytes: int) -> bool:
        started.append((offset, nbytes))
        return start(fd, offset, nbytes)

    monkeypatch.setattr(memory, "start_writeback", record)
    a = sh.create("a.npy", (3000, 100), "f4")
    a[...] = 1
    a[1000:1010].flush(wait=False)
    assert started == [(a.offset + 1000 * 400, 10 * 400)]
    assert synced == []


def test_other_threads_run_during_a_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    # The other thread's turn comes while msync runs, or never: msync is made to
    # wait for it here, which would deadlock if the GIL were held.
    a = sh.create("a.npy", 3)
    inside, seen = threading.Event(), threading.Event()
    read_end, write_end = os.pipe()
    native = memory._msync
    assert native is not None

    def other() -> None:
        inside.wait()
        os.write(write_end, b"x")
        seen.set()

    def slow(*arguments: Any) -> int:
        inside.set()
        os.read(read_end, 1)
        return native(*arguments)

    monkeypatch.setattr(memory, "_msync", slow)
    thread = threading.Thread(target=other)
    thread.start()
    a.flush()
    thread.join()
    assert seen.is_set()
    os.close(read_end)
    os.close(write_end)


def fail_with(code: int) -> Any:
    def sync(address: int, nbytes: int) -> None:
        raise OSError(code, os.strerror(code))

    return sync


def flush_path(path: str) -> str:
    """Flush in another process; returns what went wrong."""
    try:
        sh.open(path).flush()
    except sh.FlushError as error:
        return f"{errno.errorcode[error.errno or 0]} {error.path}"
    return "fine"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_error_sticks_for_all_processes_until_cleared(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = sh.create("a.npy", 3)
    path = str(a.filename)
    with monkeypatch.context() as patch:
        patch.setattr(memory, "sync", fail_with(code))
        with pytest.raises(sh.FlushError, match="clear_fault") as raised:
            a.flush()
    assert (raised.value.errno, raised.value.path) == (code, path)
    assert isinstance(raised.value, OSError)
    # The kernel would say that all is well now.
    for wait in (True, False):
        with pytest.raises(sh.FlushError):
            a.flush(wait=wait)
    with pytest.raises(sh.FlushError):
        sh.open("a.npy", mode="r").flush()
    with ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        name = errno.errorcode[code]
        assert pool.submit(flush_path, path).result() == f"{name} {path}"
        sh.clear_fault("a.npy")
        assert pool.submit(flush_path, path).result() == "fine"
    a.flush()


def test_fault_found_by_another_process_meanwhile_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = sh.create("a.npy", 3)
    other = sh.open("a.npy")

    def told_to_the_other(address: int, nbytes: int) -> None:
        other._root.segment.set_fault(errno.EIO)

    monkeypatch.setattr(memory, "sync", told_to_the_other)
    with pytest.raises(sh.FlushError):
        a.flush()
    sh.clear_fault("a.npy")


def test_file_of_numpy_remembers_a_fault_while_it_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    np.save("a.npy", np.zeros(3))
    a = sh.open("a.npy")
    with monkeypatch.context() as patch:
        patch.setattr(memory, "sync", fail_with(errno.EIO))
        with pytest.raises(sh.FlushError):
            a.flush()
    with pytest.raises(sh.FlushError):
        a.flush()
    with pytest.raises(sh.FlushError):
        sh.open("a.npy").flush()
    del a
    sh.open("a.npy").flush()


@disks.needs_disks
def test_disk_that_loses_data_is_reported_and_not_forgotten(tmp_path: Path) -> None:
    with disks.disk_smaller_than_it_says(tmp_path) as disk:
        path = disk.path / "a.npy"
        a = sh.create(path, 24 << 20, "u1")
        a[...] = 7
        with pytest.raises(sh.FlushError) as raised:
            a.flush()
        assert raised.value.errno in (errno.EIO, errno.ENOSPC)
        with pytest.raises(sh.FlushError):
            a.flush()
        assert flush_path(str(path)).endswith(str(path))
        del a, raised
