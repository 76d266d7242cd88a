"""The base class of counters and barriers: a few integers in shared memory."""

from __future__ import annotations

from typing import Any

from ..arrays.core import AnyArray, SharedArray
from ..arrays.creation import array


class Cells:
    """An object whose state is in shared memory.

    Its pickle is a handle: processes that load it share the state. Kernels take it as
    an argument, like an array. A pickle in a file keeps values, so loading that makes a
    new object with the same state.

    Attributes
    ----------
    _cells : SharedArray
        The state: int64, one-dimensional, contiguous.
    """

    __slots__ = ("_cells",)
    _cells: AnyArray

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        cells = state[1]["_cells"]
        # Values from a file are a private array. On that, the object would silently
        # count for this process only.
        self._cells = cells if isinstance(cells, SharedArray) else array(cells)
