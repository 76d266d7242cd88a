"""Hillshade, as plain NumPy and as a numba kernel.

A terrain is lit by `LAMPS`, spread over the sky. What a lamp gives to a point is
the cosine of the angle between its direction and the normal of the ground, or
nothing if the ground faces away. Slopes are central differences, and one-sided
ones in the outermost rows and columns, as in `numpy.gradient`.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Protocol

import numpy as np

Grid = np.ndarray[Any, np.dtype[np.float32]]


class Kernel(Protocol):
    """`shade_rows`, or what numba makes of it."""

    def __call__(
        self,
        elevation: Grid,
        shade: Grid,
        first: int,
        lamps: Grid,
        dy: np.float32,
        dx: np.float32,
    ) -> None:
        """See `shade_rows`."""


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


def shade_rows(
    elevation: Grid,
    shade: Grid,
    first: int,
    lamps: Grid,
    dy: np.float32,
    dx: np.float32,
) -> None:
    """Shade some rows of a terrain in place; numba compiles this.

    Parameters
    ----------
    elevation : ndarray of float32
        The terrain, or the rows to shade and a neighbour on either side.
    shade : ndarray of float32
        Receives the light, one row for each row of `elevation` from `first`.
    first : int
        The row of `elevation` that belongs to row 0 of `shade`.
    lamps : ndarray of float32
        `LAMPS`.
    dy, dx : float32
        Distance between rows and between columns.
    """
    rows, columns = elevation.shape
    zero, one, two = np.float32(0), np.float32(1), np.float32(2)
    y = np.empty(columns, np.float32)
    x = np.empty(columns, np.float32)
    for i in range(shade.shape[0]):
        row = first + i
        above = max(row - 1, 0)
        below = min(row + 1, rows - 1)
        height = np.float32(below - above) * dy
        for j in range(columns):
            y[j] = (elevation[below, j] - elevation[above, j]) / height
            shade[i, j] = zero
        x[0] = (elevation[row, 1] - elevation[row, 0]) / dx
        for j in range(1, columns - 1):
            x[j] = (elevation[row, j + 1] - elevation[row, j - 1]) / (two * dx)
        x[-1] = (elevation[row, -1] - elevation[row, -2]) / dx
        # Lamps outside and columns inside, so that the loop is vectorised.
        for k in range(lamps.shape[0]):
            east, south, up = lamps[k, 0], lamps[k, 1], lamps[k, 2]
            for j in range(columns):
                shade[i, j] += max(up - east * x[j] - south * y[j], zero)
        for j in range(columns):
            shade[i, j] /= np.sqrt(one + x[j] * x[j] + y[j] * y[j])


@functools.cache
def compiled() -> Kernel:
    """`shade_rows` as machine code, compiled on the first call."""
    import numba  # 0.3 s, and the worker processes pay it too

    signature = "void(f4[:, ::1], f4[:, ::1], i8, f4[:, ::1], f4, f4)"
    compile_it = numba.njit(signature, nogil=True, error_model="numpy")
    kernel: Kernel = compile_it(shade_rows)
    return kernel
