"""A parcel: an array on its way through a channel, with a record of its arrivals.

Each process that unpickles a parcel stamps it. So no channel needs to know how to
inspect it.
"""

from __future__ import annotations

import os
import pickle
from typing import Any, NamedTuple

import numpy as np

from sharray.passing.wire.receiving import Received

SHARED = "shared memory"
PICKLED = "pickled"


def pattern(added: int = 0) -> Any:
    """Return 1 MB, in which all neighbours differ."""
    return np.arange(1 << 17, dtype="f8").reshape(256, 512) + added


def road_of(array: Any) -> str:
    """Return the way in which an array came into this process."""
    memory = array
    while memory is not None:
        if isinstance(memory, Received):
            return SHARED
        is_view = isinstance(memory, memoryview)
        memory = memory.obj if is_view else getattr(memory, "base", None)
    return PICKLED


class Stamp(NamedTuple):
    """The record of one arrival."""

    pid: int
    road: str
    faults: tuple[str, ...]


class Parcel:
    """An array, and the record of its arrivals.

    Whoever receives it adds 1 to all elements: from then on its own differs from
    the sender's, unless they are the same memory.
    """

    def __init__(self, array: Any, stamps: tuple[Stamp, ...] = ()) -> None:
        self.array = array
        self.stamps = stamps

    def __reduce__(self) -> Any:
        return arrive, (self.array, self.stamps)

    def is_intact(self) -> bool:
        """Return whether nobody else has written to the array."""
        return bool(np.array_equal(self.array, pattern(len(self.stamps))))


def arrive(array: Any, stamps: tuple[Stamp, ...]) -> Parcel:
    """Stamp a parcel; unpickling calls this."""
    plain = pickle.loads(pickle.dumps(pattern(len(stamps))))
    faults = [
        f"{what} differs"
        for what in ("__class__", "dtype", "shape", "strides", "flags.writeable")
        if _attribute(array, what) != _attribute(plain, what)
    ]
    if not np.array_equal(array, plain):
        faults.append("values differ")
    if array.flags.writeable:
        array += 1
    return Parcel(array, (*stamps, Stamp(os.getpid(), road_of(array), tuple(faults))))


def _attribute(array: Any, name: str) -> Any:
    for part in name.split("."):
        array = getattr(array, part)
    return array


_kept: Parcel | None = None


def keep(parcel: Parcel) -> None:
    """Keep a parcel in this process."""
    global _kept
    _kept = parcel


def stamps_of_kept() -> tuple[Stamp, ...]:
    """Return the stamps of parcels that came with an initializer."""
    assert _kept is not None
    return _kept.stamps


def echo(parcel: Parcel) -> Parcel:
    """Send a parcel back, and keep it to see whether that receiver changes it."""
    if _kept is not None and not _kept.is_intact():
        raise AssertionError("a receiver has changed what this process had sent")
    keep(parcel)
    return parcel


class FailureError(Exception):
    """An error that carries a parcel."""


def fail(parcel: Parcel) -> None:
    """Raise an error that carries a parcel."""
    raise FailureError(echo(parcel))
