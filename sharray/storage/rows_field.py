"""The number of rows in the header of a growable array.

It is right-justified in 16 bytes at a multiple of 16, which `numpy.load` reads as any
other number::

    {'descr': '<f4', 'fortran_order': False, 'shape': (              70, 128), }
                                                       ^ multiple of 16

A store or pwrite(2) of such bytes is never torn on ext4, XFS, btrfs and tmpfs. Stores
of 64 bytes are. So a reader finds the whole old number, or the whole new one.
"""

from __future__ import annotations

import re

SIZE = 16
_BEFORE = b"'shape': ("
_FIELD = rb" *[0-9]+"  # compiled on first use: import is faster


def split(
    shape: tuple[int, ...], fortran_order: bool
) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """Split a shape into the axes before the one that grows, that one, and the rest.

    The axis that grows is the slowest: the first, or in Fortran order the last.

    Examples
    --------
    >>> split((5, 128), False), split((128, 5), True)
    (((), 5, (128,)), ((128,), 5, ()))
    """
    if fortran_order:
        return shape[:-1], shape[-1], ()
    return (), shape[0], shape[1:]


def text(rows: int) -> str:
    """Return the characters of the field."""
    return f"{rows:>{SIZE}}"


def find(block: bytes) -> int | None:
    """Return the position of the field in a header; None if there is no such field."""
    start = block.rfind(_BEFORE) + len(_BEFORE)
    if start < len(_BEFORE):
        return None
    end = block.find(b")", start)
    first = -(-start // SIZE) * SIZE
    last = (end - SIZE) // SIZE * SIZE
    for position, closing in ((first, b","), (last, b")")):
        field = block[position : position + SIZE]
        after = position + SIZE
        if after > end or block[after : after + 1] != closing:
            continue
        if re.fullmatch(_FIELD, field) and not block[position - 1 : position].isdigit():
            return position
    return None


def replaced(block: bytes, position: int, rows: int) -> bytes:
    """Return a header with another number of rows."""
    return block[:position] + text(rows).encode() + block[position + SIZE :]
