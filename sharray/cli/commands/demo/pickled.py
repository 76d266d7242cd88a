"""The kernel in worker processes to which arrays are pickled, there and back.

What one does without shared arrays: a pool, and chunks with their neighbour rows.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import numpy as np

import sharray as sh

from ...problem import ProblemError
from .terrain import Chunk, Grid, Terrain, shade_rows

Call = tuple[sh.Kernel, Terrain, int, int]

# -- what the workers run ----------------------------------------------------


def shade_and_return(kernel: sh.Kernel, part: Terrain, first: int, count: int) -> Grid:
    """Shade `count` rows of a part of a terrain and return them."""
    shade = np.empty_like(part.elevation)
    kernel(*part, shade)
    return shade[first : first + count]


def _prepare_worker(all_started: threading.Barrier) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    all_started.wait()


def _end_with_parent() -> None:
    # Else a pool's workers wait for ever if the parent is killed: each holds the
    # writing end of the pipe from which the others read.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# -- what the parent runs ----------------------------------------------------


@contextmanager
def start_pool(count: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that have all started."""
    context = multiprocessing.get_context("spawn")
    # Workers inherit that Ctrl-C is ignored; the parent ends them. And in the middle of
    # this it would leave semaphores behind.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # A pool starts a process only while none is idle: all are busy waiting.
        ready = context.Barrier(count)
        pool = ProcessPoolExecutor(count, context, _prepare_worker, (ready,))
        started = [pool.submit(os.getpid) for _ in range(count)]
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        for future in started:
            future.result()
        yield pool
    except BrokenProcessPool as error:
        raise ProblemError(f"a worker process died: {error}") from error
    finally:
        pool.shutdown(cancel_futures=True)


def calls_of(terrain: Terrain, chunks: list[Chunk]) -> list[Call]:
    """Arguments of `shade_and_return`, one chunk each, with plain arrays."""
    plain = np.asarray(terrain.elevation)
    return [
        (
            shade_rows,
            terrain._replace(elevation=plain[chunk.low : chunk.high]),
            chunk.begin - chunk.low,
            chunk.end - chunk.begin,
        )
        for chunk in chunks
    ]


def count_bytes(messages: Iterable[Any]) -> int:
    """Size of messages between processes."""
    return sum(len(pickle.dumps(message)) for message in messages)


def run(pool: ProcessPoolExecutor, calls: list[Call], targets: list[Grid]) -> None:
    """Make calls in the workers, and write what each returns to its target."""
    waiting = {
        pool.submit(shade_and_return, *call): target
        for call, target in zip(calls, targets, strict=True)
    }
    for future in as_completed(waiting):
        waiting.pop(future)[...] = future.result()
