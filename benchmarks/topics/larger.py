"""Larger than memory: read and change a file under a limit on memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

import sharray as sh

from ..harness import children, groups
from ..harness.errors import BenchmarkError
from ..harness.measuring import Contender, Effort, Sample
from ..harness.scratch import Scratch
from ..harness.tables import Table
from .larger_process import CHANGE, DD, READS

ROW = 1 << 20  # bytes
_PART = 8  # the limit is so many times smaller than the file
_SMALLEST_LIMIT = 64 << 20
_STATIC = "rows, static"


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure times against dd, and bytes read against the size of the file."""
    rows = max(256, 16 * effort.nbytes // ROW)
    limit = max(rows * ROW // _PART, _SMALLEST_LIMIT)
    path = scratch.disk / "larger.npy"
    make_file(path, rows)
    with groups.limited(limit) as group:
        if group is None:
            raise BenchmarkError(
                "cannot make a control group with a limit on memory: run as root, or "
                "choose other topics with --only"
            )
        one = partial(measure, group, path)
        title = f"{rows * ROW / 1e9:.1f} GB under {limit / 1e6:.0f} MB"
        yield _times(one, title, effort)
        yield _reads(one, title, rows * ROW, effort)


def _times(one: partial[dict[str, float]], title: str, effort: Effort) -> Table:
    table = Table.measured(
        "larger, time",
        f"read a cold file, or change all of it and flush: {title}",
        [Contender(way, _sample(one, way, "seconds")) for way in (DD, *READS, CHANGE)],
        min(effort.slow_rounds, 5),
        effort,
        seconds=25.0,
        warm_up=False,
    )
    table.demand(_STATIC, 1 / 0.95, times=DD)
    return table


def _reads(
    one: partial[dict[str, float]], title: str, nbytes: int, effort: Effort
) -> Table:
    table = Table.measured(
        "larger, bytes read",
        f"bytes read from the disk as a multiple of the file: {title}",
        [Contender(way, _sample(one, way, "bytes_read", nbytes)) for way in READS],
        1,
        effort,
        warm_up=False,
    )
    table.unit = "x"
    for way in READS:
        table.demand(way, 1.3)
    return table


def _sample(
    one: partial[dict[str, float]], way: str, what: str, unit: int = 1
) -> Sample:
    return lambda: one(way)[what] / unit


def make_file(path: Path, rows: int) -> None:
    """Write an array of random rows of 1 MiB, and drop it from the cache."""
    row = np.random.default_rng(0).random(ROW // 8)
    with sh.create(path, (rows, ROW // 8)) as array:
        for number in range(rows):
            array[number] = row
            array[number].advise("dontneed")
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(group: Path, path: Path, way: str) -> dict[str, float]:
    """Return seconds, bytes read and sum of one way, in a process of its own."""
    module = "topics.larger_process"
    found: dict[str, float] = json.loads(
        children.output_of(module, str(group), str(path), way)
    )
    return found
