"""Blocks: the arrays that kernels return, in private memory of the process that ran it.

The entry copies the first array that a kernel returns in a run into a block, and
combines later ones with it there: see `sharray.kernels.numba.array_values`. A block is

::

      [ bytes of all of it | length of each dimension | - ]  [ elements, in C order ]
      0                                                      HEADER

::

             entry: first array of a run          `take`, or the first array of the
      none  ------------------------------>  kept  next run  ------------------>  none

An outcome has the address of the block. It is valid in one process only. The memory is
that of malloc(3), so that machine code and Python can free it.

Invariants

- The word `BLOCK` of an outcome is 0, or the address of a block in the memory of the
  process that writes this outcome. It stays after the caller has cleared `USED`, so
  that the block is freed even if nobody took it: after an error, or after Ctrl-C.
- Only that process frees the block, and it clears or replaces the word when it does.

A process that is killed takes its block with it. The team clears the word, before a
worker starts that would take the address for its own.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from ..errors import KernelError

HEADER = 320  # one word, and one for each of up to 32 dimensions; whole cache lines
MOST_DIMENSIONS = 32
_WORD = 8


class ShapesDifferError(KernelError):
    """Two arrays that a kernel returned in one run have different shapes.

    Examples
    --------
    >>> ShapesDifferError((3,), (4,)).shapes
    ((3,), (4,))
    """

    def __init__(self, kept: tuple[int, ...], got: tuple[int, ...]) -> None:
        super().__init__(
            "expected arrays of one shape from all parts of a run, got "
            f"{tuple(kept)} and {tuple(got)}; return an array whose shape does not "
            "depend on the part, or combine them with reduce=, a kernel of two arrays"
        )
        self.shapes = kept, got

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.shapes


def contents(address: int) -> bytes:
    """Return a copy of a block of this process."""
    return ctypes.string_at(address, ctypes.c_int64.from_address(address).value)


def array_of(block: bytes, dtype: np.dtype[Any], ndim: int) -> np.ndarray[Any, Any]:
    """Return the array in a copy of a block."""
    shape = np.frombuffer(block, np.int64, ndim, _WORD)
    return np.frombuffer(block, dtype, offset=HEADER).reshape(shape).copy()


def free(address: int) -> None:
    """Free a block of this process; a no-op if the address is 0."""
    _free()(address)


@functools.cache
def _free() -> Any:
    function = ctypes.CDLL(None).free
    function.argtypes, function.restype = [ctypes.c_void_p], None
    return function
