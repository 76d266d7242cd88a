"""Many: make small arrays, and work beside thousands of them."""

from __future__ import annotations

import json
import mmap
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from fcntl import LOCK_SH, flock
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh

from ..harness.children import child
from ..harness.measuring import FULL, Contender, Effort, Sample, take_turns
from ..harness.scratch import Scratch
from ..harness.tables import Table
from . import peers
from .many_process import BESIDE, ONE_MORE

_OURS = "sh.zeros(10)"
_BARE = "bare system calls"
_STANDARD = "SharedMemory(create=True)"
_AT_ONCE = 20  # arrays, in one sample
_COUNTS = (1, 200, 2_000, 20_000)
_QUICK_COUNTS = (1, 20, 100, 200)
_END = "end"
# The count to compare the largest one with, by its position, and the ratio's limit.
_GROWTH = {
    **dict.fromkeys(ONE_MORE, (1, 1.3)),
    **dict.fromkeys(BESIDE, (0, 1.1)),
}
_WORDS = {
    "make": "make one of 200 more arrays",
    "send": "pickle one of them for the first time",
    "drop": "drop one of them",
    "create a name": "create one of 200 arrays with names in RAM",
    "open": "open one of these by its name",
    "unlink": "unlink one of these",
    "list": "list all arrays of the user, a line",
    "handle": "pickle and unpickle a handle",
    "message": "Pool.apply with a handle",
    "dispatch": "no-op in one worker of a team",
    _END: "end the process",
}

TABLES = re.compile("many, (?P<what>.*)")  # by the number of arrays

_Measured = dict[str, float]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure one array, and operations by the number of live arrays."""
    yield _making(scratch.ram, effort)
    yield from _beside_others(effort)


# -- one small array ---------------------------------------------------------


def _making(ram: Path, effort: Effort) -> Table:
    module = peers.shared_array_module()
    made: list[Any] = []
    table = Table.measured(
        "small arrays",
        "make an array of 10 elements in RAM, for other processes",
        [
            Contender(_BARE, _making_of(lambda: _bare(ram), made)),
            Contender(_OURS, _making_of(lambda: sh.zeros(10), made)),
            Contender(_STANDARD, _making_of(_standard, made, _unlink)),
            Contender(
                "SharedArray.create()",
                module and _making_of(partial(_extension, module), made, _delete),
            ),
        ],
        max(effort.rounds // 4, 1),
        effort,
    )
    table.demand(_OURS, 1.2, times=_STANDARD)
    table.demand(_OURS, 2, times=_BARE)
    table.compare(
        "make an array of 10 elements", _OURS, group="small arrays", floors=(_BARE,)
    )
    return table


def _making_of(
    make: Callable[[], Any], made: list[Any], end: Callable[[Any], object] | None = None
) -> Sample:
    """Sample making alone; giving the arrays back does not count."""

    def sample() -> float:
        start = time.perf_counter()
        for _ in range(_AT_ONCE):
            made.append(make())
        taken = time.perf_counter() - start
        while made:
            one = made.pop()
            if end is not None:
                end(one)
        return taken / _AT_ONCE

    return sample


def _bare(ram: Path) -> Any:
    """Do as little as Python can for a file with a header that ends with its users."""
    fd = os.open(ram, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        flock(fd, LOCK_SH)
        os.posix_fallocate(fd, 0, 2 * mmap.PAGESIZE)
        os.pwrite(fd, b"\x93NUMPY".ljust(128), 0)
        mapping = mmap.mmap(fd, 2 * mmap.PAGESIZE)
    finally:
        os.close(fd)
    return np.frombuffer(mapping, np.float64, 10, 128)


def _standard() -> Any:
    block = SharedMemory(peers.unique_name(), create=True, size=80)
    return block, np.ndarray(10, buffer=block.buf)


def _unlink(made: Any) -> None:
    block, array = made
    block.unlink()
    del array


def _extension(module: Any) -> Any:
    name = f"shm://{peers.unique_name()}"
    return module, name, module.create(name, 10)


def _delete(made: Any) -> None:
    module, name, _ = made
    module.delete(name)


# -- beside others -----------------------------------------------------------


def _beside_others(effort: Effort) -> Iterator[Table]:
    counts = _COUNTS if effort.nbytes >= FULL.nbytes else _QUICK_COUNTS
    rounds = max(effort.slow_rounds // 5, 1)
    measured = take_turns(
        {count: partial(_in_new_process, count) for count in counts},
        min(rounds, effort.most),
        40.0 * effort.pace,
        warm_up=False,
    )
    largest = counts[-1]
    whole = 1.3 * largest / counts[2]  # of all arrays, and not of one of them
    for what, (position, limit) in {**_GROWTH, _END: (2, whole)}.items():
        table = Table(
            f"many, {what}",
            f"{_WORDS[what]}; by the number of other arrays that live",
            {
                _beside(count): tuple(one[what] for one in found)
                for count, found in measured.items()
            },
            planned=rounds,
        )
        table.demand(_beside(largest), limit, times=_beside(counts[position]))
        yield table


def _beside(count: int) -> str:
    return f"beside {count:,}"


def count_of(name: str) -> int:
    """Return the number of arrays in the name of a row.

    Examples
    --------
    >>> count_of("beside 2,000")
    2000
    """
    return int(name.removeprefix("beside ").replace(",", ""))


def _in_new_process(count: int) -> _Measured:
    with child("topics.many_process", str(count), stdout=subprocess.PIPE) as process:
        printed, _ = process.communicate()
        ended = time.monotonic()
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    found: _Measured = json.loads(printed)
    found[_END] = ended - found.pop("ends")
    return found
