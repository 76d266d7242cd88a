"""Where the elevations of the demo come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import sharray as sh

from ...problem import ProblemError
from .terrain import Grid

_METRES_PER_DEGREE = 111_200
_MISSING = 1e30  # many files mark gaps by the lowest float32, -3.4e38
_ROWS_AT_A_TIME = 64


class Source(NamedTuple):
    """Elevations in metres, as they were found."""

    name: str
    values: np.ndarray[Any, Any]
    dy: float
    dx: float


def load_bundled() -> Source:
    """Read the elevation model that matplotlib ships: a fault near Jacksboro."""
    try:
        from matplotlib.cbook import get_sample_data
    except ModuleNotFoundError:
        raise ProblemError(
            "the terrain of the demo comes with matplotlib, which is not installed: "
            "pip install 'sharray[demo]', or name a 2-D .npy file of your own"
        ) from None
    loaded: Any = get_sample_data("jacksboro_fault_dem.npz")
    with loaded as model:
        dy = _METRES_PER_DEGREE * float(model["dy"])
        dx = _METRES_PER_DEGREE * float(model["dx"])
        dx *= math.cos(math.radians(float(model["ymin"])))
        return Source("Jacksboro fault, Tennessee", model["elevation"], dy, dx)


def load_file(path: str, cell: float) -> Source:
    """Open a ``.npy`` file to read, and refuse what is no terrain.

    Parameters
    ----------
    path : str
        The file.
    cell : float
        Distance between its rows and between its columns, in metres.
    """
    values = np.asarray(sh.open(path, mode="r"))
    if values.ndim != 2 or min(values.shape) < 2:
        raise ProblemError(
            f"expected an array of at least 2 by 2 elevations in {path!r}, "
            f"found shape {values.shape}"
        )
    if values.dtype.kind not in "iuf":
        raise ProblemError(
            f"expected real numbers in {path!r}, found dtype {values.dtype}"
        )
    return Source(path, values, cell, cell)


def fill(target: Grid, source: Source, advance: Callable[[int], object]) -> None:
    """Cover an array with a terrain and its mirror images, so without steps.

    What is not finite, or too large for an elevation, becomes NaN.

    Parameters
    ----------
    target : ndarray of float32
        The array to cover; it may be larger or smaller than the source.
    source : Source
        The terrain.
    advance : callable
        Is told how many rows were done.
    """
    rows = _fold(target.shape[0], source.values.shape[0])
    columns = _fold(target.shape[1], source.values.shape[1])
    for begin in range(0, len(rows), _ROWS_AT_A_TIME):
        found = source.values[rows[begin : begin + _ROWS_AT_A_TIME]]
        with np.errstate(over="ignore"):
            block = found[:, columns].astype(np.float32)
        block[~(np.abs(block) < _MISSING)] = np.nan
        target[begin : begin + len(block)] = block
        advance(len(block))


def _fold(count: int, period: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Indices that run up and down again.

    Examples
    --------
    >>> _fold(8, 3).tolist()
    [0, 1, 2, 2, 1, 0, 0, 1]
    """
    place = np.arange(count) % (2 * period)
    return np.where(place < period, place, 2 * period - 1 - place)
