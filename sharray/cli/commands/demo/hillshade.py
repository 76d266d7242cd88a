"""Shade a real terrain in four ways.

64 lamps light the terrain from all over the sky. A lamp's light on a point is the
cosine of the angle between its direction and the normal of the ground, or zero if the
ground faces away. So a row of light depends on a row of elevations and its neighbours.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import sharray as sh

from ...problem import ProblemError

MODEL_SHAPE = (344, 403)  # rows and columns, before any mirror image

_METRES_PER_DEGREE = 111_200
_PARTS_PER_PROCESS = 4
_ROWS_IN_CACHE = 64  # NumPy's temporary arrays of this many rows fit in the cache

Grid = np.ndarray[Any, np.dtype[np.float32]]


class Terrain(NamedTuple):
    """Elevations, and the metres between rows and between columns."""

    elevation: Grid
    dy: np.float32
    dx: np.float32


class Result(NamedTuple):
    """The light on a terrain, the seconds of a run, and the bytes that it pickles."""

    light: Grid
    seconds: float
    pickled: int = 0


def load_terrain(size: int) -> Terrain:
    """Read matplotlib's elevation model, and extend it by mirror images to a square."""
    try:
        from matplotlib.cbook import get_sample_data
    except ModuleNotFoundError:
        raise ProblemError(
            "the demo needs matplotlib, which is not installed: "
            "pip install 'sharray[demo]'"
        ) from None
    loaded: Any = get_sample_data("jacksboro_fault_dem.npz")
    with loaded as model:
        metres = model["elevation"].astype(np.float32)
        dy = _METRES_PER_DEGREE * model["dy"]
        dx = _METRES_PER_DEGREE * model["dx"] * math.cos(math.radians(model["ymin"]))
    missing = [(0, max(0, size - count)) for count in metres.shape]
    square = np.pad(metres, missing, mode="symmetric")[:size, :size]
    return Terrain(np.ascontiguousarray(square), np.float32(dy), np.float32(dx))


# -- the work ------------------------------------------------------------------


def _place_lamps(count: int) -> Grid:
    """Return the lamps' directions east, south and up, times their brightness."""
    number = np.arange(count)
    up = (number + 0.5) / count  # on a spiral
    azimuth = number * math.pi * (3 - math.sqrt(5))  # clockwise from north
    level = np.sqrt(1 - up**2)
    directions = np.stack([level * np.sin(azimuth), -level * np.cos(azimuth), up])
    brightness = 1 + np.cos(azimuth - math.radians(315))  # most in the northwest
    return np.asarray(directions * brightness / brightness.sum(), np.float32)


EAST, SOUTH, UP = _place_lamps(64)


def hillshade(elevation: Grid, dy: np.float32, dx: np.float32) -> Grid:
    """Shade a terrain with plain NumPy."""
    y, x = np.gradient(elevation, dy, dx)
    light = np.zeros_like(elevation)
    for east, south, up in zip(EAST, SOUTH, UP, strict=True):
        light += np.maximum(up - east * x - south * y, np.float32(0))
    light /= np.sqrt(1 + x * x + y * y)
    return light


@sh.kernel(fastmath=True)
def shade_rows(elevation: Grid, dy: np.float32, dx: np.float32, light: Grid) -> None:
    """Shade a terrain in place. A team divides the rows among its processes."""
    rows, columns = elevation.shape
    for i in sh.prange(rows):
        north, south = max(i - 1, 0), min(i + 1, rows - 1)
        height = dy * np.float32(south - north)
        for j in range(columns):
            west, east = max(j - 1, 0), min(j + 1, columns - 1)
            width = dx * np.float32(east - west)
            y = (elevation[south, j] - elevation[north, j]) / height
            x = (elevation[i, east] - elevation[i, west]) / width
            total = np.float32(0)
            for k in range(len(UP)):
                total += max(UP[k] - EAST[k] * x - SOUTH[k] * y, np.float32(0))
            light[i, j] = total / np.sqrt(np.float32(1) + x * x + y * y)


# -- four ways to do it --------------------------------------------------------


def with_numpy(terrain: Terrain) -> Result:
    """Run NumPy in this process, on a few rows at a time."""
    light = np.empty_like(terrain.elevation)
    start = perf_counter()
    for rows, part, inner in split(terrain, -(-len(light) // _ROWS_IN_CACHE)):
        light[rows] = hillshade(*part)[inner]
    return Result(light, perf_counter() - start)


def in_process(terrain: Terrain) -> Result:
    """Run the kernel in this process."""
    light = np.empty_like(terrain.elevation)
    return Result(light, _best_of_three(lambda: shade_rows(*terrain, light)))


def in_team(terrain: Terrain, processes: int, directory: str) -> Result:
    """Run the kernel in place, in this process and in workers."""
    elevation, dy, dx = terrain
    ground = sh.create(os.path.join(directory, "elevation.npy"), elevation.shape, "f4")
    ground[...] = elevation
    light = sh.create(os.path.join(directory, "hillshade.npy"), elevation.shape, "f4")
    with sh.Team(processes - 1) as team:
        seconds = _best_of_three(lambda: team.run(shade_rows, ground, dy, dx, light))
    light.flush()
    return Result(np.asarray(light), seconds)


def in_pool(terrain: Terrain, processes: int) -> Result:
    """Run the kernel in a pool, on pickled arrays."""
    light = np.empty_like(terrain.elevation)
    parts = split(terrain, processes * _PARTS_PER_PROCESS)

    def run() -> None:
        with _ctrl_c_kept_back():  # also from the workers, which start here
            futures = [
                pool.submit(_shade_part, shade_rows, part, inner)
                for _, part, inner in parts
            ]
        for (rows, _, _), future in zip(parts, futures, strict=True):
            light[rows] = future.result()

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        seconds = _best_of_three(run)
    sent = sum(part.elevation.nbytes for _, part, _ in parts)
    return Result(light, seconds, sent + light.nbytes)


@contextmanager
def _ctrl_c_kept_back() -> Iterator[None]:
    """Block SIGINT for a while, and for ever in processes that start meanwhile.

    An initializer would ignore it only after a worker has imported all that it needs.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _shade_part(kernel: sh.Kernel, part: Terrain, inner: slice) -> Grid:
    light = np.empty_like(part.elevation)
    kernel(*part, light)  # the kernel was pickled with its machine code
    return light[inner]


def split(terrain: Terrain, count: int) -> list[tuple[slice, Terrain, slice]]:
    """Return each part's rows, its terrain with neighbours, and the rows to keep."""
    total = len(terrain.elevation)
    count = min(count, total)
    parts = []
    for begin, end in pairwise(total * i // count for i in range(count + 1)):
        low, high = max(begin - 1, 0), min(end + 1, total)
        part = terrain._replace(elevation=terrain.elevation[low:high])
        parts.append((slice(begin, end), part, slice(begin - low, end - low)))
    return parts


def _best_of_three(run: Callable[[], object]) -> float:
    """Return the seconds of the fastest run; the first one compiles the kernel."""
    seconds = []
    for _ in range(3):
        start = perf_counter()
        run()
        seconds.append(perf_counter() - start)
    return min(seconds)
