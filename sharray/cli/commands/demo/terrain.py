"""Hillshade, as plain NumPy and as a kernel.

A terrain is lit by `LAMPS`, spread over the sky. What a lamp gives to a point is
the cosine of the angle between its direction and the normal of the ground, or
nothing if the ground faces away. Slopes are central differences, and one-sided
ones in the outermost rows and columns, as in `numpy.gradient`.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import sharray as sh

Grid = np.ndarray[Any, np.dtype[np.float32]]


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


def _place_lamps(count: int) -> Grid:
    """Lamps all over the sky, on a spiral; the brightest are in the northwest.

    A row is a lamp: the direction to it as east, south and up, times its
    brightness. Together they have the brightness 1.
    """
    number = np.arange(count)
    up = (number + 0.5) / count
    azimuth = number * math.pi * (3 - math.sqrt(5))  # clockwise from north
    level = np.sqrt(1 - up**2)
    direction = [level * np.sin(azimuth), -level * np.cos(azimuth), up]
    brightness = 1 + np.cos(azimuth - math.radians(315))
    lamps = np.stack(direction, axis=1) * (brightness / brightness.sum())[:, None]
    return np.asarray(lamps, np.float32)


LAMPS = _place_lamps(64)


def hillshade(elevation: Grid, dy: np.float32, dx: np.float32) -> Grid:
    """Shade a terrain with plain NumPy.

    Parameters
    ----------
    elevation : ndarray of float32
        From north to south and from west to east, at least 2 by 2.
    dy, dx : float32
        Distance between rows and between columns, in the unit of `elevation`.

    Returns
    -------
    ndarray of float32
        Light at each point, between 0 and 1; NaN beside a NaN.

    Examples
    --------
    >>> metres = np.float32(30)
    >>> flat = hillshade(np.zeros((2, 3), np.float32), metres, metres)
    >>> bool(np.allclose(flat, LAMPS[:, 2].sum()))
    True
    """
    with np.errstate(invalid="ignore", over="ignore"):
        y, x = np.gradient(elevation, dy, dx)
        light = np.zeros_like(elevation)
        for east, south, up in LAMPS:
            light += np.maximum(up - east * x - south * y, np.float32(0))
        light /= np.sqrt(1 + x * x + y * y)
    return light


@sh.kernel(error_model="numpy")
def shade_rows(elevation: Grid, dy: np.float32, dx: np.float32, shade: Grid) -> None:
    """Shade a terrain in place; a team splits its rows.

    Parameters
    ----------
    elevation : ndarray of float32
        The terrain.
    dy, dx : float32
        Distance between rows and between columns.
    shade : ndarray of float32
        Receives the light, of the same shape.
    """
    rows, columns = elevation.shape
    zero, one, two = np.float32(0), np.float32(1), np.float32(2)
    # Slopes of one row; outside of the loop, they are made once for each chunk.
    y = np.empty(columns, np.float32)
    x = np.empty(columns, np.float32)
    for row in sh.prange(rows):
        above = max(row - 1, 0)
        below = min(row + 1, rows - 1)
        height = np.float32(below - above) * dy
        for j in range(columns):
            y[j] = (elevation[below, j] - elevation[above, j]) / height
            shade[row, j] = zero
        x[0] = (elevation[row, 1] - elevation[row, 0]) / dx
        for j in range(1, columns - 1):
            x[j] = (elevation[row, j + 1] - elevation[row, j - 1]) / (two * dx)
        x[-1] = (elevation[row, -1] - elevation[row, -2]) / dx
        # Lamps outside and columns inside, so that the loop is vectorised.
        for k in range(len(LAMPS)):
            east, south, up = LAMPS[k, 0], LAMPS[k, 1], LAMPS[k, 2]
            for j in range(columns):
                shade[row, j] += max(up - east * x[j] - south * y[j], zero)
        for j in range(columns):
            shade[row, j] /= np.sqrt(one + x[j] * x[j] + y[j] * y[j])
