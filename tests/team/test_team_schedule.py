"""The division of the work of a run into chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sharray as sh
from sharray.system import limits
from sharray.team.schedule import SINGLE, Chunking, Schedule

pytestmark = pytest.mark.slow


lengths = st.integers(0, 5000) | st.integers(0, 2**40)
members = st.integers(1, 64)
chunks = st.none() | st.integers(1, 300) | st.integers(1, 2**41)


def check_partition(chunking: Chunking) -> None:
    """Check that chunks follow each other from 0 to the end, and none is empty."""
    assert chunking.chunks >= 1
    edges = [chunking.bounds(number) for number in edge_numbers(chunking.chunks)]
    assert edges[0][0] == 0
    assert chunking.bounds(chunking.chunks - 1)[1] == chunking.length
    for number in edge_numbers(chunking.chunks):
        begin, end = chunking.bounds(number)
        assert begin < end or chunking.length == 0
        if number + 1 < chunking.chunks:
            assert chunking.bounds(number + 1)[0] == end


def edge_numbers(count: int) -> list[int]:
    """Return the numbers of all chunks, or of the first and last of many."""
    return (
        list(range(count)) if count < 2000 else [*range(99), *range(count - 99, count)]
    )


@given(length=lengths, members=members, static=st.booleans(), chunk=chunks)
def test_ranges_are_covered_once_and_in_order(
    length: int, members: int, static: bool, chunk: int | None
) -> None:
    chunking = Schedule(static, chunk).split(length, members, [])
    check_partition(chunking)
    if chunk is not None:
        begin, end = chunking.bounds(0)
        assert end - begin == min(chunk, length)
    elif static:
        assert chunking.chunks <= members
        sizes = [
            end - begin for begin, end in map(chunking.bounds, range(chunking.chunks))
        ]
        assert max(sizes) == -(-length // members)


@st.composite
def arrays(draw: Any) -> tuple[int, list[Any]]:
    """Draw arrays of one length along an axis, which begin at any address."""
    length = draw(st.integers(0, 3000))
    found = []
    for _ in range(draw(st.integers(1, 3))):
        dtype = np.dtype(draw(st.sampled_from(["u1", "i2", "f4", "f8", "c16", "S3"])))
        across = draw(st.sampled_from([None, 1, 2, 5, 16]))
        room = np.zeros((length + 9) * dtype.itemsize * (across or 1) + 64, "u1")
        start = draw(st.integers(0, 8)) * dtype.itemsize + (-room.ctypes.data) % 64
        n = length * (across or 1)
        array = room[start : start + n * dtype.itemsize].view(dtype)
        axis = 0
        if across is not None:
            axis = draw(st.integers(0, 1))
            array = array.reshape((length, across) if axis == 0 else (across, length))
        if draw(st.booleans()):
            array = array[::-1]
        found.append((array, axis))
    return length, found


@given(both=arrays(), members=members, static=st.booleans(), chunk=chunks)
def test_arrays_are_covered_once_and_in_order(
    both: Any, members: int, static: bool, chunk: int | None
) -> None:
    length, found = both
    chunking = Schedule(static, chunk).split(length, members, found)
    check_partition(chunking)
    if static and chunk is None:
        assert chunking.chunks <= members
    if chunk is not None:
        assert chunking.bounds(0) == (0, min(chunk, length))


@given(
    length=st.integers(4096, 10_000),
    start=st.integers(0, 20),
    dtype=st.sampled_from(["u1", "i2", "f4", "f8", "c16"]),
    members=st.integers(1, 8),
)
def test_dynamic_chunks_begin_where_a_cache_line_does(
    length: int, start: int, dtype: str, members: int
) -> None:
    array = sh.zeros(length + start, dtype)[start:]
    chunking = Schedule(False, None).split(length, members, [(array, 0)])
    address = array.__array_interface__["data"][0]
    for number in range(1, chunking.chunks):
        assert (address + chunking.bounds(number)[0] * array.itemsize) % 64 == 0


@given(
    length=st.integers(100, 10_000),
    dtype=st.sampled_from(["u1", "i2", "f4", "f8", "c16"]),
    members=st.integers(1, 5),
)
def test_static_chunks_of_an_array_from_its_start_are_aligned(
    length: int, dtype: str, members: int
) -> None:
    array = sh.zeros(length, dtype)
    chunking = Schedule(True, None).split(length, members, [(array, 0)])
    for number in range(1, chunking.chunks):
        begin = chunking.bounds(number)[0]
        assert (
            begin * array.itemsize % 64 == 0
            or length * array.itemsize < 8 * 64 * members
        )


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("length", [0, 1, 2, 400])
def test_few_elements_are_divided_between_all_members(
    static: bool, length: int
) -> None:
    array = np.zeros(length, "u1")
    chunking = Schedule(static, None).split(length, 24, [(array, 0)])
    covered = [chunking.bounds(number) for number in range(chunking.chunks)]
    assert sum(end - begin for begin, end in covered) == length
    assert len(covered) == max(1, min(length, 24 if static else 400))
    assert chunking.adapts == (not static and length > 1)


def test_a_kernel_that_is_not_split_has_one_chunk() -> None:
    assert [SINGLE.bounds(number) for number in range(SINGLE.chunks)] == [(0, 1)]


@pytest.mark.parametrize("chunk", [1, 7])
def test_chunks_of_the_size_that_was_asked_for_do_not_adapt(chunk: int) -> None:
    for static in (False, True):
        chunking = Schedule(static, chunk).split(100, 4, [(np.zeros(100), 0)])
        assert (chunking.size, chunking.shift, chunking.adapts) == (chunk, 0, False)


@given(length=st.integers(1, 2**62))
def test_there_are_not_too_many_grains(length: int) -> None:
    array = np.broadcast_to(np.zeros(1, "i1"), (length,))
    for arrays in ([], [(array, 0)]):
        chunking = Schedule(False, None).split(length, 4, arrays)
        assert chunking.chunks <= 2**36 + 1
    wide = np.broadcast_to(np.zeros(1), (1000, 2**20))
    assert Schedule(False, None).split(1000, 4, [(wide, 0)]).size == 1


@given(length=st.integers(0, 2**62), static=st.booleans(), chunk=chunks)
def test_fixed_chunks_depend_on_the_length_only(
    length: int, static: bool, chunk: int | None
) -> None:
    chunking = Schedule(static, chunk).fixed(length)
    check_partition(chunking)
    assert not chunking.adapts
    if chunk is None:
        assert chunking.chunks <= 256
        assert chunking.chunks == 1 or chunking.size >= 8


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An array on a disk, of which less than the half fits into memory."""
    x = sh.create(tmp_path / "large.npy", (256, 1 << 14), "f8")  # rows of 128 KiB
    monkeypatch.setattr(limits, "available_memory", lambda **_: 2 * x.nbytes - 2)
    return x


@pytest.mark.parametrize(("axis", "size"), [(0, 4), (1, 4096)])
def test_pieces_of_files_that_exceed_the_memory_are_long(
    large: Any, axis: int, size: int
) -> None:
    # 512 KiB are 4 rows; of columns, a fair part of each row is shorter.
    chunking = Schedule().split(large.shape[axis], 4, [(large, axis)])
    assert chunking.size == size
    assert chunking.adapts
    check_partition(chunking)


def test_only_files_that_exceed_the_memory_have_long_pieces(
    large: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_ram = sh.zeros(large.shape)
    small = large[:100]
    for array in (in_ram, small, np.zeros(large.shape)):
        assert Schedule().split(len(array), 4, [(array, 0)]).size == 1
    assert Schedule(chunk=2).split(256, 4, [(large, 0)]).size == 2
    for available in (2 * large.nbytes, None):
        monkeypatch.setattr(
            limits, "available_memory", lambda found=available, **_: found
        )
        assert Schedule().split(256, 4, [(large, 0)]).size == 1
