"""Creating: create a large array in RAM, from one value or from contents."""

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
_COPIED = "sh.array()"
_MAPPED = "new tmpfs file: mmap, fill"
_WRITTEN = "new tmpfs file: write(), mmap"

Maker = Callable[[], AbstractContextManager[Any]]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure creating and a first look at all elements.

    The look matters: data written into a file is only mapped page by page when it is
    read; data stored through a mapping is already mapped.
    """
    n = effort.nbytes // 8
    size = f"{effort.nbytes / 1e6:.0f} MB"
    yield _table(
        "creating",
        f"create {size} in RAM, fill it with one value and sum it up",
        f"create, fill and sum up {size}",
        {_OURS: lambda: _ours(n), **_makers(scratch.ram, n, _VALUE)},
        effort,
    )
    contents = np.arange(n, dtype=float)
    yield _table(
        "creating from contents",
        f"create {size} in RAM from an ordinary array and sum it up",
        f"copy {size} into shared memory and sum it up",
        {_COPIED: lambda: _copied(contents), **_makers(scratch.ram, n, contents)},
        effort,
    )


def _table(
    name: str, title: str, task: str, makers: dict[str, Maker | None], effort: Effort
) -> Table:
    ours, *_ = makers
    # The floor first, with which the others are compared.
    order = sorted(makers, key=lambda one: one != _MAPPED)
    table = Table.measured(
        name,
        title,
        [
            Contender(name, (make := makers[name]) and _create_and_sum(make))
            for name in order
        ],
        effort.slow_rounds,
        effort,
    )
    table.demand(ours, 1.0, times=_MAPPED)
    table.compare(task, ours, group="creating", floors=(_MAPPED, _WRITTEN))
    return table


def _create_and_sum(make: Maker) -> Sample:
    """Sample both; giving the memory back does not count."""

    def sample() -> float:
        with ExitStack() as stack:
            start = time.perf_counter()
            stack.enter_context(make()).sum()
            return time.perf_counter() - start

    return sample


def _makers(ram: Path, n: int, contents: Any) -> dict[str, Maker | None]:
    """Return ways to make a float64 array in memory that others could map."""
    ready = np.empty(n)
    ready[...] = contents
    module = peers.shared_array_module()
    return {
        _MAPPED: lambda: _mapped(ram, n, contents),
        _WRITTEN: lambda: _written(ram, ready),
        "SharedArray.create(), fill": module
        and (lambda: _extension(module, n, contents)),
        "multiprocessing.SharedMemory": lambda: _standard_library(n, contents),
    }


@contextmanager
def _ours(n: int) -> Iterator[Any]:
    yield sh.full(n, _VALUE)


@contextmanager
def _copied(contents: Any) -> Iterator[Any]:
    yield sh.array(contents)


@contextmanager
def _mapped(ram: Path, n: int, contents: Any) -> Iterator[Any]:
    with _unnamed_file(ram) as file:
        file.truncate(8 * n)
        array = np.frombuffer(mmap.mmap(file.fileno(), 8 * n))
    array[...] = contents
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
def _extension(module: Any, n: int, contents: Any) -> Iterator[Any]:
    with peers.shared_array_peer(module, n) as (_, array):
        array[...] = contents
        yield array


@contextmanager
def _standard_library(n: int, contents: Any) -> Iterator[Any]:
    with peers.standard_library_peer(n) as (_, array):
        array[...] = contents
        yield array


def _unnamed_file(ram: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=ram, buffering=0)
