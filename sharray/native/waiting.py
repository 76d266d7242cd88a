"""Functions that wait for other processes, for Python and for kernels.

`sharray.kernels.numba.waiting_typing` implements them for kernels.
"""

from __future__ import annotations

import ctypes
import os

from ..system import clock, futex
from .atomic_elements import Array, Index, address_of, check_array

FOREVER = -1


def futex_wait(array: Array, index: Index, expected: int, timeout_ns: int) -> bool:
    """Sleep while the low 32 bits of an element are those of `expected`.

    Parameters
    ----------
    array : ndarray
        Array of int32 or int64.
    index : int or tuple of int
        Index of the element.
    expected : int
        The value that the caller has read there.
    timeout_ns : int
        Longest time to sleep, in nanoseconds; negative for no limit.

    Returns
    -------
    bool
        False after a timeout. After True, read the element again: a signal ends the
        sleep as well.
    """
    address = _address("futex_wait", array, index)
    return futex.wait(address, int(expected), int(timeout_ns))


def futex_wake(array: Array, index: Index, count: int) -> int:
    """Wake at most `count` threads that sleep at an element; return how many."""
    return futex.wake(_address("futex_wake", array, index), int(count))


def pause() -> None:
    """Pause between two reads of an element in a spin loop."""
    clock.sleep(0)


def give_way() -> None:
    """Yield this core to another process that waits for it: sched_yield(2)."""
    os.sched_yield()


def current_core() -> int:
    """Return the core that this thread runs on at the moment: sched_getcpu(3)."""
    return int(ctypes.CDLL(None).sched_getcpu())


def now_ns() -> int:
    """Return nanoseconds of the monotonic clock."""
    return clock.monotonic_ns()


def _address(operation: str, array: Array, index: Index) -> int:
    check_array(operation, array)
    return address_of(operation, array, index)
