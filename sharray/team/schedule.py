"""Schedules: divide the work of a run into chunks, and assign them to members."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from ..arrays.core import SharedArray
from ..system import limits

SplitArrays = list[tuple[np.ndarray[Any, Any], int]]

_NAMES = ("dynamic", "static")
_FIXED_CHUNKS = 256  # enough for the members of any machine to finish together
_FEWEST_FIXED = 8  # rows; a seed for each part takes about 2 us
_MOST_GRAINS = 1 << 36  # see `sharray.team.control.claims`
_CACHE_LINE = 64
_LARGE = 1 << 24  # smaller arrays fit in memory
# With 256 KiB, a disk with long read-ahead read 2.9 times the file; with 512 KiB, 1.01.
_PIECE = 1 << 19
_WORTH_ALIGNING = 8  # cache lines in a chunk; smaller ones are better equal


class Chunking(NamedTuple):
    """Chunks of `size`; the first is shorter by `shift`, and the last may be shorter.

    If `size` is 0, the chunks are as equal as edges at multiples of `shift` allow. If
    it `adapts`, these are grains: members make chunks of one or several of them.

    Examples
    --------
    >>> chunking = Chunking(length=10, size=4, shift=1, chunks=3)
    >>> [chunking.bounds(k) for k in range(chunking.chunks)]
    [(0, 3), (3, 7), (7, 10)]
    """

    length: int
    size: int
    shift: int
    chunks: int
    adapts: bool = False

    def bounds(self, number: int) -> tuple[int, int]:
        """Return begin and end of a chunk."""
        return self.edge(number), self.edge(number + 1)

    def edge(self, number: int) -> int:
        """Return the begin of a chunk, which is the end of the one before."""
        if self.size > 0:
            return min(max(number * self.size - self.shift, 0), self.length)
        if number == self.chunks:
            return self.length
        return number * self.length // self.chunks // self.shift * self.shift


# The kernel is not split.
SINGLE = Chunking(1, 1, 0, 1)
# The kernel does not reach its loop over `prange`. The bounds are -1, which means the
# whole loop: see `sharray.kernels.prange.ALL`.
NOT_REACHED = Chunking(-1, 1, 0, 1)


class Schedule(NamedTuple):
    """The assignment of chunks to the members of a team.

    Attributes
    ----------
    is_static : bool
        Whether each member has fixed chunks. Otherwise a member takes the next chunk
        when it is ready.
    chunk : int or None
        Elements or iterations in a chunk, if the user set it.
    """

    is_static: bool = False
    chunk: int | None = None

    @classmethod
    def named(cls, name: str, chunk: SupportsIndex | None) -> Schedule:
        """Check the options `schedule` and `chunk` of a run.

        Raises
        ------
        ValueError
            One of them is wrong.
        """
        if name not in _NAMES:
            raise ValueError(f"expected schedule='dynamic' or 'static', got {name!r}")
        return cls(name == "static", None if chunk is None else _positive(chunk))

    def split(self, length: int, members: int, arrays: SplitArrays) -> Chunking:
        """Return the chunks of a run.

        Parameters
        ----------
        length : int
            Number of elements along an axis, or of iterations of a `prange`.
        members : int
            Number of processes that work.
        arrays : list of (ndarray, int)
            Each array that is split, with its axis. The chunks begin at cache lines,
            so that two processes do not write to the same one.

        Examples
        --------
        >>> Schedule(is_static=True).split(1000, 4, arrays=[])
        Chunking(length=1000, size=0, shift=1, chunks=4, adapts=False)
        """
        if self.chunk is not None:
            return _equal(length, self.chunk)
        if self.is_static:
            return _fair(length, members, arrays)
        granule = _granule_of(length, members, arrays)
        least = max(
            -(-length // _MOST_GRAINS), _least_of_files(length, members, arrays)
        )
        size = -(-least // granule) * granule
        grains = _equal(length, size, _shift(size, arrays))
        return grains._replace(adapts=grains.chunks > 1)

    def fixed(self, length: int) -> Chunking:
        """Return chunks that depend on the length only, unless the user chose them.

        So they are the same on all machines, for any number of members.

        Examples
        --------
        >>> Schedule().fixed(1000)
        Chunking(length=1000, size=8, shift=0, chunks=125, adapts=False)
        """
        size = max(_FEWEST_FIXED, -(-length // _FIXED_CHUNKS))
        return _equal(length, size if self.chunk is None else self.chunk)


DYNAMIC = Schedule()


def _positive(chunk: SupportsIndex) -> int:
    try:
        size = operator.index(chunk)
    except TypeError:
        size = 0
    if size < 1:
        raise ValueError(f"expected a positive integer as chunk=, got {chunk!r}")
    return size


def _equal(length: int, size: int, shift: int = 0) -> Chunking:
    """Return chunks of one size."""
    size = max(min(size, length), 1)
    # An empty array makes one chunk: a direct call would run the kernel, too.
    return Chunking(length, size, shift, max(1, -(-(length + shift) // size)))


def _fair(length: int, members: int, arrays: SplitArrays) -> Chunking:
    """Return one chunk for each member, or for each element if there are fewer."""
    granule = _granule_of(length, members, arrays)
    return Chunking(length, 0, granule, min(members, max(length, 1)))


def _granule_of(length: int, members: int, arrays: SplitArrays) -> int:
    """Return how many indices make whole cache lines; 1 if there are only few."""
    # Powers of two, so the largest is a multiple of the others.
    granule = max((_granule(array, axis) for array, axis in arrays), default=1)
    return 1 if length < _WORTH_ALIGNING * granule * members else granule


def _least_of_files(length: int, members: int, arrays: SplitArrays) -> int:
    """Return how many indices make long pieces of files that do not fit in memory.

    Along another axis than the slowest, a chunk is a piece of each row. The system
    reads more than a short piece, and drops the rest before another chunk needs it: 2
    GB in pieces of 128 B under 512 MB of memory were read many times over.
    """
    found = 1
    for array, axis in arrays:
        stride = abs(array.strides[axis])
        if array.nbytes >= _LARGE and stride and _exceeds_memory(array):
            found = max(found, -(-_PIECE // stride))
    return min(found, -(-length // members))


def _exceeds_memory(array: np.ndarray[Any, Any]) -> bool:
    """Return whether an array is on a disk, and the memory may not hold it."""
    if not (isinstance(array, SharedArray) and array.durable):
        return False
    available = limits.available_memory(max_age=1.0)
    return available is not None and array.nbytes > available // 2


def _granule(array: np.ndarray[Any, Any], axis: int) -> int:
    """Return how many indices along the axis make whole cache lines."""
    return _CACHE_LINE // math.gcd(_CACHE_LINE, abs(array.strides[axis]))


def _shift(size: int, arrays: SplitArrays) -> int:
    """Return how much shorter the first chunk is, so that others begin at lines."""
    for array, axis in arrays:
        stride = array.strides[axis]
        address: int = array.__array_interface__["data"][0]
        if not array.flags.writeable or stride <= 0 or size % _granule(array, axis):
            continue
        if stride < _CACHE_LINE and address % stride == 0 and _CACHE_LINE % stride == 0:
            return (address % _CACHE_LINE) // stride
    return 0
