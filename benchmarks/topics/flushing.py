"""Flushing: bring a large array to the disk, while other threads run."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh

from ..harness.errors import BenchmarkError
from ..harness.measuring import Contender, Effort, Sample
from ..harness.scratch import Scratch
from ..harness.tables import Table

_MS_SYNC = 4
_OURS = "SharedArray.flush()"
_FLOOR = "msync through ctypes"
_PYTHON = "mmap.flush() of CPython"
_NO_FLUSH = "no flush, 50 ms of waiting"

Case = tuple[str, Any, Callable[[], object]]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure the time, and the longest wait of another thread."""
    size = f"{effort.nbytes / 1e6:.0f} MB"
    path = scratch.disk / "field.npy"
    array = sh.create(path, effort.nbytes // 8)
    if not array.durable:
        raise BenchmarkError(
            f"{scratch.disk.parent} is not on a disk: name one with --disk"
        )
    cases = _cases(path, array)
    times = Table.measured(
        "flushing",
        f"flush {size} of changed data to a disk",
        [Contender(name, _duration(data, flush)) for name, data, flush in cases],
        effort.slow_rounds,
        effort,
    )
    times.demand(_OURS, 1.05, times=_FLOOR)
    times.compare(f"flush {size} to a disk", _OURS, group="flushing", floors=(_FLOOR,))
    yield times
    # Without a flush, threads wait only for the machine.
    cases.append((_NO_FLUSH, array, lambda: time.sleep(0.05)))
    gaps = Table.measured(
        "stalls",
        f"longest wait of another thread during a flush of {size}",
        [Contender(name, _longest_gap(data, flush)) for name, data, flush in cases],
        effort.slow_rounds,
        effort,
    )
    gaps.demand(_OURS, 0.010)
    gaps.compare(
        f"longest wait of another thread during a flush of {size}",
        _OURS,
        group="flushing",
        floors=(_FLOOR, _NO_FLUSH),
    )
    yield gaps


def _cases(path: Path, array: Any) -> list[Case]:
    """Return the ways to flush, all of the same file.

    Files lie in better and worse places of a disk. Each way changes the data through
    the mapping that it flushes.
    """
    mapping = _map(path)
    plain = np.frombuffer(mapping, array.dtype, array.size, array.offset)
    # From the start of the mapping: both calls refuse an address inside of a page.
    address, nbytes = np.frombuffer(mapping, np.uint8).ctypes.data, len(mapping)
    msync = ctypes.CDLL(None, use_errno=True).msync
    msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def flush_bare() -> None:
        if msync(address, nbytes, _MS_SYNC) != 0:
            raise OSError(ctypes.get_errno(), "msync failed")

    return [
        (_FLOOR, plain, flush_bare),
        (_OURS, array, array.flush),
        (_PYTHON, plain, mapping.flush),
    ]


def _map(path: Path) -> mmap.mmap:
    fd = os.open(path, os.O_RDWR)
    try:
        return mmap.mmap(fd, 0)
    finally:
        os.close(fd)


def _change(data: Any) -> None:
    data += 1


def _duration(data: Any, flush: Callable[[], object]) -> Sample:
    def sample() -> float:
        _change(data)
        start = time.perf_counter()
        flush()
        return time.perf_counter() - start

    return sample


def _longest_gap(data: Any, flush: Callable[[], object]) -> Sample:
    def sample() -> float:
        _change(data)
        with _Ticker() as ticker:
            flush()
        return ticker.longest

    return sample


class _Ticker:
    """A thread that wants to run every 0.2 ms, and remembers its longest wait."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._started = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        last = time.perf_counter()
        self._started.set()
        while not self._stop:
            time.sleep(0.0002)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now

    def __enter__(self) -> _Ticker:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()
