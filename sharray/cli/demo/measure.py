"""Times the three ways to run the kernel, and checks what they produced."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from threading import BrokenBarrierError
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ..problem import ProblemError
from ..steps import Steps
from . import ways
from .terrain import Grid, compiled, hillshade

_REPEATS = 3
_CHUNKS_PER_WORKER = 4
_ROWS_PER_CHECK = 64  # so that NumPy's temporary arrays stay in the cache


class Way(NamedTuple):
    """The best time of one way, in seconds, and the bytes of all its messages."""

    name: str
    seconds: float
    sent: int | None = None
    returned: int | None = None


class Measured(NamedTuple):
    """The three ways, and the seconds that are in none of them."""

    ways: list[Way]
    compiling: float
    starting: float
    flushing: float


def measure(
    terrain: ways.Terrain, shade: ways.SharedGrid, workers: int, steps: Steps
) -> tuple[Measured, Grid]:
    """Run the kernel in all three ways.

    Parameters
    ----------
    terrain : Terrain
        In a shared array.
    shade : SharedArray of float32
        Receives the light, from this process and from the workers.
    workers : int
        Number of worker processes.
    steps : Steps
        Where progress is shown.

    Returns
    -------
    Measured
        The best time of each way.
    ndarray of float32
        The light that the workers sent back when arrays were pickled.
    """
    chunks = ways.split(len(shade), workers * _CHUNKS_PER_WORKER)
    shared = ways.shared_calls(terrain, shade, chunks)
    pickled = ways.pickled_calls(terrain, chunks)
    returned = np.full(shade.shape, np.nan, np.float32)
    targets = [returned[chunk.begin : chunk.end] for chunk in chunks]

    def best(name: str, run: Callable[..., float], *arguments: Any) -> float:
        advance = steps.add(name, _REPEATS * len(chunks))
        return min(run(*arguments, advance) for _ in range(_REPEATS))

    compiling = _time(steps, "Compiling", compiled)
    shade.fill(np.nan)
    here = best("One process", ways.run_here, shared)
    start = perf_counter()
    advance = steps.add("Starting workers", workers)
    try:
        with ways.start_workers(workers, advance) as pool:
            starting = perf_counter() - start
            shade.fill(np.nan)  # what is checked later comes from the workers
            in_place = best("Workers, shared arrays", ways.run_shared, pool, shared)
            flushing = _time(steps, "Flushing", shade.flush)
            by_value = best(
                "Workers, pickled arrays", ways.run_pickled, pool, pickled, targets
            )
    except (BrokenProcessPool, BrokenBarrierError) as error:
        raise ProblemError(f"a worker process died: {error}") from error

    team = "1 worker" if workers == 1 else f"{workers} workers"
    size = ways.count_bytes
    found = [
        Way("one process", here),
        Way(
            f"{team}, shared arrays", in_place, size(shared), size([None] * len(chunks))
        ),
        Way(f"{team}, pickled arrays", by_value, size(pickled), size(targets)),
    ]
    return Measured(found, compiling, starting, flushing), returned


def _time(steps: Steps, name: str, work: Callable[[], object]) -> float:
    """The seconds that a step of one piece takes."""
    advance = steps.add(name, 1)
    start = perf_counter()
    work()
    seconds = perf_counter() - start
    advance(1)
    return seconds


def check(
    terrain: ways.Terrain, results: list[Grid], steps: Steps
) -> tuple[float, float]:
    """Compare results with plain NumPy.

    Returns
    -------
    float
        The largest difference anywhere.
    float
        Seconds that NumPy took.
    """
    elevation = np.asarray(terrain.elevation)
    rows = len(elevation)
    advance = steps.add("Checking with NumPy", rows)
    worst = seconds = 0.0
    for chunk in ways.split(rows, -(-rows // _ROWS_PER_CHECK)):
        start = perf_counter()
        light = hillshade(elevation[chunk.low : chunk.high], terrain.dy, terrain.dx)
        seconds += perf_counter() - start
        expected = light[chunk.begin - chunk.low :][: chunk.end - chunk.begin]
        for result in results:
            part = np.asarray(result)[chunk.begin : chunk.end]
            worst = max(worst, largest_difference(part, expected))
        advance(chunk.end - chunk.begin)
    return worst, seconds


def largest_difference(found: Grid, expected: Grid) -> float:
    """The largest difference between two arrays; NaN differs from all but NaN.

    Examples
    --------
    >>> a, b = np.array([[1, np.nan]]), np.array([[1.5, np.nan]])
    >>> largest_difference(a, b), largest_difference(a, np.ones((1, 2)))
    (0.5, inf)
    """
    lost = np.isnan(found)
    if not np.array_equal(lost, np.isnan(expected)):
        return float("inf")
    return float(np.abs(found - expected).max(initial=0, where=~lost))
