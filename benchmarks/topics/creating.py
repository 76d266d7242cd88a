"""Creating: create a large array in RAM and fill it with one value."""

from __future__ import annotations

import mmap
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

import sharray as sh

from ..harness.measuring import Contender, Effort, Sample
from ..harness.scratch import Scratch
from ..harness.tables import Table
from . import peers

_VALUE = 1.5
_OURS = "sh.full()"
_MAPPED = "new tmpfs file: mmap, fill"
_WRITTEN = "new tmpfs file: write(), mmap"

Maker = Callable[[], AbstractContextManager[Any]]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure creating and a first look at all elements.

    The look matters: data written into a file is only mapped page by page when it is
    read; data stored through a mapping is already mapped.
    """
    size = f"{effort.nbytes / 1e6:.0f} MB"
    makers = _makers(scratch.ram, effort.nbytes // 8)
    table = Table.measured(
        "creating",
        f"create {size} in RAM, fill it with one value and sum it up",
        [
            Contender(name, make and _create_and_sum(make))
            for name, make in makers.items()
        ],
        effort.slow_rounds,
    )
    table.compare(
        f"create, fill and sum up {size}",
        _OURS,
        group="creating",
        floors=(_MAPPED, _WRITTEN),
    )
    yield table


def _create_and_sum(make: Maker) -> Sample:
    """Sample both; giving the memory back does not count."""

    def sample() -> float:
        with ExitStack() as stack:
            start = time.perf_counter()
            stack.enter_context(make()).sum()
            return time.perf_counter() - start

    return sample


def _makers(ram: Path, n: int) -> dict[str, Maker | None]:
    """Return ways to make a float64 array in memory that others could map."""
    ready = np.full(n, _VALUE)
    module = peers.shared_array_module()
    return {
        _MAPPED: lambda: _mapped(ram, n),
        _WRITTEN: lambda: _written(ram, ready),
        _OURS: lambda: _ours(n),
        "SharedArray.create(), fill": module and (lambda: _extension(module, n)),
        "multiprocessing.SharedMemory": lambda: _standard_library(n),
    }


@contextmanager
def _ours(n: int) -> Iterator[Any]:
    yield sh.full(n, _VALUE)


@contextmanager
def _mapped(ram: Path, n: int) -> Iterator[Any]:
    with _unnamed_file(ram) as file:
        file.truncate(8 * n)
        array = np.frombuffer(mmap.mmap(file.fileno(), 8 * n))
    array[...] = _VALUE
    yield array


@contextmanager
def _written(ram: Path, ready: np.ndarray[Any, Any]) -> Iterator[Any]:
    with _unnamed_file(ram) as file:
        rest = ready.view(np.uint8).data
        while rest:
            rest = rest[file.write(rest) :]
        array = np.frombuffer(mmap.mmap(file.fileno(), ready.nbytes))
    yield array


@contextmanager
def _extension(module: Any, n: int) -> Iterator[Any]:
    with peers.shared_array_peer(module, n) as (_, array):
        array[...] = _VALUE
        yield array


@contextmanager
def _standard_library(n: int) -> Iterator[Any]:
    with peers.standard_library_peer(n) as (_, array):
        array[...] = _VALUE
        yield array


def _unnamed_file(ram: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=ram, buffering=0)
