"""The base of what processes and kernels share besides arrays: some integers."""

from __future__ import annotations

from typing import Any

from ..array.core import AnyArray, SharedArray
from ..array.creation import array


class Cells:
    """An object whose state is in shared memory.

    A pickle of it is a handle, and in kernels it is an argument like an array. Loaded
    from where only values are kept, it is another one with the same state.

    Attributes
    ----------
    _cells : SharedArray
        The state: int64, of one dimension, contiguous.
    """

    __slots__ = ("_cells",)
    _cells: AnyArray

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        cells = state[1]["_cells"]
        # On private memory it would count for one process only, without a word.
        self._cells = cells if isinstance(cells, SharedArray) else array(cells)
