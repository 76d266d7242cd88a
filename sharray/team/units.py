"""Units in which users think of the parts of a run: rows, elements, iterations."""

from __future__ import annotations

from typing import NamedTuple

from .schedule import Chunking, SplitArrays


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

    def where(self, chunking: Chunking, number: int) -> str:
        """Return which part of the whole a chunk is.

        Examples
        --------
        >>> ROWS.where(Chunking(length=10, size=4, shift=0, chunks=3), 1)
        'in rows 4 to 7 of 10 (chunk 1 of 3; index 0 of the chunk is row 4)'
        """
        begin, end = chunking.bounds(number)
        chunk = f"chunk {number} of {chunking.chunks}"
        if chunking.chunks == 1:
            return f"in all {chunking.length} {self.many}"
        if self.begins_at_zero:
            chunk += f"; index 0 of the chunk is {self.one} {begin}"
        part = f"{self.one} {begin}"
        if end - begin > 1:
            part = f"{self.many} {begin} to {end - 1}"
        return f"in {part} of {chunking.length} ({chunk})"


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
