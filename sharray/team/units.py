"""Units in which users think of the parts of a run: rows, elements, iterations."""

from __future__ import annotations

from typing import NamedTuple

from .schedule import SplitArrays


class Unit(NamedTuple):
    """A unit, in the singular and the plural.

    Attributes
    ----------
    one, many : str
        Its names.
    begins_at_zero : bool
        Whether indices begin at 0 in each chunk.
    """

    one: str
    many: str
    begins_at_zero: bool = True

    def where(self, begin: int, end: int, length: int) -> str:
        """Return which part of the whole a chunk is.

        Examples
        --------
        >>> ROWS.where(40, 80, 400)
        'in rows 40 to 79 of 400 (index 0 of the chunk is row 40)'
        """
        if end - begin == length:
            return f"in all {length} {self.many}"
        part = f"{self.one} {begin}"
        if end - begin > 1:
            part = f"{self.many} {begin} to {end - 1}"
        where = f"in {part} of {length}"
        if self.begins_at_zero:
            where += f" (index 0 of the chunk is {self.one} {begin})"
        return where


RUNS = Unit("run", "runs")
ITERATIONS = Unit("iteration", "iterations", begins_at_zero=False)
ELEMENTS = Unit("element", "elements")
ROWS = Unit("row", "rows")
COLUMNS = Unit("column", "columns")


def unit_of(arrays: SplitArrays) -> Unit:
    """Return the unit of arrays that are split, each along an axis.

    Examples
    --------
    >>> import numpy as np
    >>> unit_of([(np.zeros((3, 2)), 0), (np.zeros(3), 0)]).many
    'rows'
    """
    array, axis = max(arrays, key=lambda pair: pair[0].ndim)
    if array.ndim < 2:
        return ELEMENTS
    if axis == 0:
        return ROWS
    if array.ndim == 2:
        return COLUMNS
    return Unit(f"index of axis {axis}", f"indices of axis {axis}")
