"""Arrange the parts of a message one after the other in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from ...arrays.core import AnyArray

# Bytes of any layout: an array's elements, or a buffer's.
Part = np.ndarray[Any, Any] | memoryview
# Begin and end of a part in the file of its message; a shared array has its own file.
Place = tuple[int, int] | AnyArray

_ALIGNMENT = 64  # a cache line, and the alignment that pyarrow recommends


def room_for(nbytes: int) -> int:
    """Return the bytes that a part takes, with its padding.

    Examples
    --------
    >>> room_for(0), room_for(1), room_for(64), room_for(65)
    (0, 64, 64, 128)
    """
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT


def places_of(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return begin and end of each part, from their sizes."""
    found = []
    position = 0
    for size in sizes:
        found.append((position, position + size))
        position += room_for(size)
    return found


def copy_parts(
    parts: Sequence[Part], memory: Any, offset: int
) -> list[tuple[int, int]]:
    """Copy all parts to `memory` from `offset` on; return their places."""
    places = places_of([part.nbytes for part in parts])
    for part, (begin, _) in zip(parts, places, strict=True):
        source = as_array(part)
        if source.flags.c_contiguous or source.flags.f_contiguous:
            # Copy bytes. A copy of elements would leave out padding between the fields
            # of structures.
            source = source.ravel(order_of(source)).view(np.uint8)
        # Not `frombuffer`: its array would keep the mapping from being closed.
        target = np.ndarray.__new__(
            np.ndarray, source.shape, source.dtype, memory, offset + begin
        )
        np.copyto(target, source)
    return places


def blocks_of(parts: Sequence[Part]) -> Iterator[memoryview] | None:
    """Return the bytes that `copy_parts` would copy, with the gaps between the parts.

    None if a part is not contiguous: a copy through a mapping reads it only once.
    """
    arrays = [as_array(part) for part in parts]
    if not all(a.flags.c_contiguous or a.flags.f_contiguous for a in arrays):
        return None
    return _with_gaps(arrays)


def _with_gaps(arrays: Sequence[np.ndarray[Any, Any]]) -> Iterator[memoryview]:
    for array in arrays:
        yield array.ravel(order_of(array)).view(np.uint8).data
        gap = room_for(array.nbytes) - array.nbytes
        if gap:
            yield memoryview(bytes(gap))


def as_array(part: Part) -> np.ndarray[Any, Any]:
    """Return a part as a plain array."""
    if isinstance(part, np.ndarray):
        return np.asarray(part)
    return np.frombuffer(part, np.uint8)


def order_of(array: np.ndarray[Any, Any]) -> Literal["C", "F"]:
    """Return the order in which pickle would write an array."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    return "F" if fortran else "C"


def writable_bytes(part: Part) -> Any:
    """Return the bytes of a part in order, writable so that they unpickle writable."""
    array = as_array(part)
    flat = array.ravel(order_of(array)).view(np.uint8)
    return flat if flat.flags.writeable else flat.copy()
