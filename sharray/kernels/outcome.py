"""Outcomes: the values that kernels return, as bytes.

The entry stores an outcome, and Python reads it. An outcome begins with a word that
says whether it holds a value. From byte 16 on, it has cells of 16 bytes: one for a
number, or one for each item of a tuple. An array is in a block of the process that ran
the kernel, and the second word is its address: see `sharray.kernels.blocks`. Before the
outcome are two words for the entry, at `-PLACE`.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from ..system import interrupts
from . import blocks
from .tuples import TupleName, class_of

# Before an outcome: the number of the member, and the number of members. The latter is
# 0 in a direct call, which belongs to the part that its thread works on, if any.
PLACE = 16
USED = 0
BLOCK = 8
FIRST_CELL = 16
CELL = 16
SIZE = 256
MOST_ITEMS = (SIZE - FIRST_CELL) // CELL


class ValueType(NamedTuple):
    """The type of the value that a kernel returns.

    Attributes
    ----------
    dtypes : tuple of dtype
        One dtype for a number or an array, or one for each item of a tuple.
    is_tuple : bool
        Whether the value is a tuple.
    name : TupleName, optional
        The class of a named tuple.
    ndim : int
        The number of dimensions of an array; 0 if the value is none.
    """

    dtypes: tuple[np.dtype[Any], ...]
    is_tuple: bool
    name: TupleName | None = None
    ndim: int = 0


def empty() -> Any:
    """Return memory for the outcome of a direct call, and for the words before it."""
    return (ctypes.c_char * (PLACE + SIZE))()


def read(kind: ValueType | None, stored: bytes | memoryview) -> Any:
    """Return the value of an outcome; None if it is empty, or the kernel returns None.

    As with numba, numbers are Python's, and dates are NumPy's.
    """
    if kind is None or not any(stored[USED : USED + 8]):
        return None
    if kind.ndim:
        (address,) = np.frombuffer(stored, np.int64, 1, BLOCK).tolist()
        return blocks.array_of(blocks.contents(address), kind.dtypes[0], kind.ndim)
    items = [
        _number(np.frombuffer(stored, dtype, 1, FIRST_CELL + number * CELL)[0])
        for number, dtype in enumerate(kind.dtypes)
    ]
    if kind.name is not None:
        named: Any = class_of(kind.name)
        return named._make(items)
    return tuple(items) if kind.is_tuple else items[0]


def _number(value: Any) -> Any:
    return value if value.dtype.kind in "mM" else value.item()


def take_block(address: int) -> bytes:
    """Return the block of an outcome of this process, and free it.

    `address` is that of the outcome.
    """
    content = blocks.contents(_block(address).value)
    release(address)
    return content


def release(address: int) -> None:
    """Free the block of an outcome of this process, if it has one."""
    word = _block(address)
    with interrupts.deferred():
        blocks.free(word.value)
        word.value = 0


def holding(block: bytes) -> Any:
    """Return an outcome whose array is a block of another process."""
    pointer = ctypes.cast(ctypes.c_char_p(block), ctypes.c_void_p)
    made = _Holding(1, pointer.value or 0)
    made.block = block  # keeps the memory at that address
    return made


class _Holding(ctypes.Structure):
    _fields_ = (("used", ctypes.c_int64), ("address", ctypes.c_int64))


def _block(address: int) -> ctypes.c_int64:
    return ctypes.c_int64.from_address(address + BLOCK)
