"""Calls of machine code by its address, for Python and for `sharray.native.words`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .machine_code import ENTRY_TYPE


def address_of(words: np.ndarray[Any, Any], index: int) -> int:
    """Return the address of an element of an array of one dimension."""
    return int(words[index:].ctypes.data)


def call_entry(
    entry: int, slots: int, bases: int, begin: int, end: int, out: int, error: int
) -> int:
    """Call the entry of a kernel, an `ENTRY_TYPE`, and return its status."""
    return int(ENTRY_TYPE(entry)(slots, bases, begin, end, out, error))
