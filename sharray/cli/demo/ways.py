"""The three ways in which the demo runs the kernel.

In this process; in worker processes on shared arrays; in worker processes on
arrays that are pickled there and back. All three work on the same chunks.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import pairwise
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import sharray as sh

from .terrain import LAMPS, Grid, compiled

_START_SECONDS = 300  # to wait for all workers

Advance = Callable[[int], object]
SharedGrid = sh.SharedArray[Any, np.dtype[np.float32]]


class Terrain(NamedTuple):
    """Elevations, and the distances between rows and between columns."""

    elevation: Grid
    dy: np.float32
    dx: np.float32


class Chunk(NamedTuple):
    """Rows `begin` to `end`; with their neighbours they are `low` to `high`."""

    begin: int
    end: int
    low: int
    high: int


def split(rows: int, count: int) -> list[Chunk]:
    """Split rows into chunks of about equal size.

    Examples
    --------
    >>> split(5, 2)
    [Chunk(begin=0, end=2, low=0, high=3), Chunk(begin=2, end=5, low=1, high=5)]
    """
    count = min(count, rows)
    bounds = [rows * i // count for i in range(count + 1)]
    return [
        Chunk(begin, end, max(begin - 1, 0), min(end + 1, rows))
        for begin, end in pairwise(bounds)
    ]


# -- what the workers run ----------------------------------------------------


def shade_in_place(part: Terrain, shade: Grid, first: int) -> None:
    """Shade the rows of a terrain that belong to `shade`."""
    # numba takes 600 ns to look at a subclass, and plain views are as shared.
    compiled()(
        np.asarray(part.elevation), np.asarray(shade), first, LAMPS, part.dy, part.dx
    )


def shade_and_return(part: Terrain, count: int, first: int) -> Grid:
    """Shade `count` rows of a terrain and return them."""
    shade = np.empty((count, part.elevation.shape[1]), np.float32)
    shade_in_place(part, shade, first)
    return shade


_all_ready: threading.Barrier


def _prepare_worker(all_ready: threading.Barrier) -> None:
    global _all_ready
    _all_ready = all_ready
    threading.Thread(target=_end_with_parent, daemon=True).start()
    compiled()


def _end_with_parent() -> None:
    # Else a pool's workers wait for ever if the parent is killed: each holds the
    # writing end of the pipe from which the others read.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _wait_for_all() -> None:
    _all_ready.wait(_START_SECONDS)


# -- what the parent runs ----------------------------------------------------


@contextmanager
def start_workers(count: int, advance: Advance) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that have all started and compiled the kernel."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        count, context, _prepare_worker, (context.Barrier(count),)
    )
    try:
        # Workers inherit that Ctrl-C is ignored; the parent ends them.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            started = [pool.submit(_wait_for_all) for _ in range(count)]
        finally:
            signal.signal(signal.SIGINT, before)
        for future in as_completed(started):
            future.result()
            advance(1)
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def shared_calls(
    terrain: Terrain, shade: SharedGrid, chunks: list[Chunk]
) -> list[tuple[Any, ...]]:
    """Arguments of `shade_in_place`, one chunk each: views, which pickle as handles."""
    return [
        (
            terrain._replace(elevation=terrain.elevation[chunk.low : chunk.high]),
            shade[chunk.begin : chunk.end],
            chunk.begin - chunk.low,
        )
        for chunk in chunks
    ]


def pickled_calls(terrain: Terrain, chunks: list[Chunk]) -> list[tuple[Any, ...]]:
    """Arguments of `shade_and_return`, one chunk each: plain arrays, so by value."""
    plain = np.asarray(terrain.elevation)
    return [
        (
            terrain._replace(elevation=plain[chunk.low : chunk.high]),
            chunk.end - chunk.begin,
            chunk.begin - chunk.low,
        )
        for chunk in chunks
    ]


def count_bytes(messages: Iterable[Any]) -> int:
    """Size of messages between processes."""
    return sum(len(pickle.dumps(message)) for message in messages)


def run_here(calls: list[tuple[Any, ...]], advance: Advance) -> float:
    """Make the calls of `shared_calls` in this process; returns the seconds."""
    start = perf_counter()
    for arguments in calls:
        shade_in_place(*arguments)
        advance(1)
    return perf_counter() - start


def run_shared(
    pool: ProcessPoolExecutor, calls: list[tuple[Any, ...]], advance: Advance
) -> float:
    """Make the calls of `shared_calls` in the workers; returns the seconds."""
    start = perf_counter()
    for future in as_completed([pool.submit(shade_in_place, *a) for a in calls]):
        future.result()
        advance(1)
    return perf_counter() - start


def run_pickled(
    pool: ProcessPoolExecutor,
    calls: list[tuple[Any, ...]],
    targets: list[Grid],
    advance: Advance,
) -> float:
    """Make the calls of `pickled_calls` in the workers; returns the seconds.

    What they return is written to the arrays in `targets`, one for each call.
    """
    start = perf_counter()
    waiting = {
        pool.submit(shade_and_return, *arguments): target
        for arguments, target in zip(calls, targets, strict=True)
    }
    for future in as_completed(waiting):
        waiting.pop(future)[...] = future.result()
        advance(1)
    return perf_counter() - start
