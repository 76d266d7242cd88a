"""The bytes of a message: in blocks for a new file, or copied to memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import passing_strategies as ps
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharray.passing.wire import packing

SIZES = [0, 1, 63, 64, 65, 4096, 300_001]


def copied(parts: list[Any]) -> bytes:
    """The oracle, with zeros in the gaps."""
    memory = bytearray(sum(packing.room_for(part.nbytes) for part in parts))
    packing.copy_parts(parts, memory, 0)
    return bytes(memory)


def is_contiguous(part: Any) -> bool:
    flags = packing.as_array(part).flags
    return bool(flags.c_contiguous or flags.f_contiguous)


@given(parts=st.lists(ps.arrays(), max_size=4))
@settings(max_examples=300, deadline=None)
def test_blocks_are_the_bytes_that_would_be_copied(parts: list[np.ndarray]) -> None:
    parts = [part for part in parts if part.dtype.itemsize]
    blocks = packing.blocks_of(parts)
    if all(map(is_contiguous, parts)):
        assert blocks is not None
        assert b"".join(blocks) == copied(parts)
    else:
        assert blocks is None


@pytest.mark.parametrize("first", SIZES)
@pytest.mark.parametrize("second", SIZES)
def test_each_part_begins_where_the_receiver_looks_for_it(
    first: int, second: int
) -> None:
    parts = [
        np.full(first, 1, "u1"),
        memoryview(bytes([2]) * second),
        np.full((3, 5), 3, "f4", order="F"),
    ]
    blocks = packing.blocks_of(parts)
    assert blocks is not None
    whole = b"".join(blocks)
    assert whole == copied(parts)
    places = packing.places_of([part.nbytes for part in parts])
    for part, (begin, end) in zip(parts, places, strict=True):
        assert whole[begin:end] == memoryview(part).tobytes("A")
