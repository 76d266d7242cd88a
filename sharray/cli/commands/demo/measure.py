"""Times the three ways to run the kernel, and checks what they produced."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import numpy as np

import sharray as sh

from . import pickled
from .steps import Steps
from .terrain import Grid, Terrain, hillshade, shade_rows, split

_REPEATS = 3
_CHUNKS_PER_WORKER = 4
_ROWS_PER_CHECK = 64  # so that NumPy's temporary arrays stay in the cache

SharedGrid = sh.SharedArray[Any, np.dtype[np.float32]]
Made = TypeVar("Made")


class Way(NamedTuple):
    """The best time of one way, the time to start its processes, and bytes it sends."""

    name: str
    seconds: float
    starting: float | None = None
    sent: int | None = None
    returned: int | None = None


class Measured(NamedTuple):
    """The three ways, and what belongs to none of them.

    Attributes
    ----------
    ways : list of Way
        One process, the team, the pool.
    processes : int
        How many compute in the team, with this one, and in the pool.
    handles : int
        Size of the handles of both arrays, in bytes.
    compiling, flushing : float
        Seconds.
    """

    ways: list[Way]
    processes: int
    handles: int
    compiling: float
    flushing: float


def measure(
    terrain: Terrain, shade: SharedGrid, processes: int, steps: Steps
) -> tuple[Measured, Grid]:
    """Run the kernel in all three ways.

    Parameters
    ----------
    terrain : Terrain
        In a shared array.
    shade : SharedArray of float32
        Receives the light, from one process and from the team.
    processes : int
        How many compute.
    steps : Steps
        Where progress is shown.

    Returns
    -------
    Measured
        The best time of each way.
    ndarray of float32
        The light that the workers of the pool sent back.
    """
    _, compiling = _timed(
        steps, "Compiling", lambda: shade_rows.compile(*terrain, shade)
    )
    here = _best(steps, "One process", lambda: shade_rows(*terrain, shade))
    shade.fill(np.nan)  # what is checked later comes from the team
    team = _measure_team(terrain, shade, processes, steps)
    _, flushing = _timed(steps, "Flushing", shade.flush)
    pool, returned = _measure_pool(terrain, processes, steps)
    ways = [Way("one process", here), team, pool]
    handles = pickled.count_bytes([terrain.elevation, shade])
    return Measured(ways, processes, handles, compiling, flushing), returned


def _measure_team(
    terrain: Terrain, shade: SharedGrid, processes: int, steps: Steps
) -> Way:
    """Run the kernel in place, in this process and its workers."""
    with ExitStack() as stack:
        team, starting = _timed(
            steps,
            "Starting the team",
            lambda: stack.enter_context(sh.Team(processes - 1)),
        )
        seconds = _best(
            steps,
            "Team, shared arrays",
            lambda: team.run(shade_rows, *terrain, shade),
        )
    # Workers have got machine code and handles with the first run.
    return Way(f"team of {processes}, in place", seconds, starting, 0, 0)


def _measure_pool(terrain: Terrain, processes: int, steps: Steps) -> tuple[Way, Grid]:
    """Run the kernel in worker processes on arrays that are pickled."""
    rows = len(terrain.elevation)
    chunks = split(rows, processes * _CHUNKS_PER_WORKER)
    calls = pickled.calls_of(terrain, chunks)
    returned = np.full(terrain.elevation.shape, np.nan, np.float32)
    targets = [returned[chunk.begin : chunk.end] for chunk in chunks]
    with ExitStack() as stack:
        pool, starting = _timed(
            steps,
            "Starting the pool",
            lambda: stack.enter_context(pickled.start_pool(processes)),
        )
        seconds = _best(
            steps,
            "Pool, pickled arrays",
            lambda: pickled.run(pool, calls, targets),
        )
    way = Way(
        f"pool of {processes}, pickled",
        seconds,
        starting,
        pickled.count_bytes(calls),
        pickled.count_bytes(targets),
    )
    return way, returned


def _best(steps: Steps, name: str, work: Callable[[], object]) -> float:
    """The seconds that work takes, the best of several times."""
    advance = steps.add(name, _REPEATS)
    times = []
    for _ in range(_REPEATS):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
        advance(1)
    return min(times)


def _timed(steps: Steps, name: str, work: Callable[[], Made]) -> tuple[Made, float]:
    """What a step of one piece returns, and the seconds that it takes."""
    advance = steps.add(name, 1)
    start = perf_counter()
    made = work()
    seconds = perf_counter() - start
    advance(1)
    return made, seconds


def check(terrain: Terrain, results: list[Grid], steps: Steps) -> tuple[float, float]:
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
    for chunk in split(rows, -(-rows // _ROWS_PER_CHECK)):
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
