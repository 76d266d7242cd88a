"""Lives of processes with arrays, which may die at any point."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

import sharray as sh
from sharray.storage import ending, kept

RAM_NAME = "shm://run/named"
DISK_NAME = "field.npy"
OLD, NEW = 7.0, 8.0
N = 1000

Life = Callable[[bytes], None]


def check(array: Any, *values: float) -> None:
    """Check that all elements are the same, and one of `values`."""
    found = np.unique(array)
    assert found.size == 1, found
    assert found[0] in values, found


def make_and_send() -> bytes:
    """Make an array that this process keeps; return a handle of it."""
    global _kept
    _kept = sh.full(N, OLD)
    return bytes(ForkingPickler.dumps(_kept))


def let_go_of_what_is_kept() -> None:
    """Drop the array of `make_and_send`."""
    global _kept
    check(_kept, OLD)
    _kept = None


_kept: Any = None


def create_send_receive_close(_: bytes) -> None:
    """Use an anonymous array that never leaves this process."""
    array = sh.full(N, OLD)
    again = pickle.loads(pickle.dumps(array))
    check(again, OLD)
    del array, again


def attach_and_close(handle: bytes) -> None:
    """Open an anonymous array of another process, and close it."""
    array = pickle.loads(handle)
    check(array, OLD)
    ForkingPickler.dumps(array[1:])
    del array


def keep_and_close(handle: bytes) -> None:
    """Open an array whose mapping this process keeps, and close it."""
    kept.comes_again = lambda _: True  # from the first time on
    attach_and_close(handle)


def keep_and_use_again(handle: bytes) -> None:
    """Open and close an array again and again."""
    for _ in range(3):
        keep_and_close(handle)


def attach_and_end(handle: bytes) -> None:
    """End like an interpreter while arrays exist."""
    array = pickle.loads(handle)
    ours = sh.full(N, OLD)
    unsent = sh.full(N, OLD)
    ForkingPickler.dumps(ours)
    ending.end()
    for each in array, ours, unsent:
        check(each, OLD)


def _name(path: str) -> None:
    array = sh.create(path, N, fill_value=OLD)
    check(sh.open(path), OLD)
    # Values that are converted, and so written a block at a time.
    values = np.full(N, NEW, "f4")
    replacement = sh.create(path, N, fill_value=values, overwrite=True)
    check(array, OLD)
    check(replacement, NEW)
    replacement.flush()
    sh.unlink(path)


def _publish(path: str) -> None:
    for value in OLD, NEW:
        with sh.publish(path, N) as array:
            array[:] = value
        check(array, value)
    sh.unlink(path)


def publish_in_ram(_: bytes) -> None:
    """Publish under a name in RAM, and replace that."""
    _publish(RAM_NAME)


def publish_on_disk(_: bytes) -> None:
    """Publish under a name on a disk, and replace that."""
    _publish(DISK_NAME)


def name_in_ram(_: bytes) -> None:
    """Create, open, overwrite and unlink under a name in RAM."""
    _name(RAM_NAME)


def name_on_disk(_: bytes) -> None:
    """Create, open, overwrite and unlink under a name on a disk."""
    _name(DISK_NAME)


def use_the_name(path: str) -> None:
    """Use names of leftovers, like the next process."""
    sh.create(path, N, fill_value=NEW, overwrite=True)
    sh.unlink(path)


def open_what_is_visible(path: str) -> None:
    """Check that a file is a complete array, old or new."""
    check(sh.open(path), OLD, NEW)
