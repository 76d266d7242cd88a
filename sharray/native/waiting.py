"""Waiting for other processes, in Python and in kernels alike.

Kernels take what is here from `sharray.kernels.numba.waiting_typing`.
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
        Of int32 or int64.
    index : int or tuple of int
        Of the element.
    expected : int
        What the caller has found there.
    timeout_ns : int
        How long at most, nanoseconds; negative is forever.

    Returns
    -------
    bool
        False if the time is over. After True, look whether anything has changed:
        a signal ends the sleep as well.
    """
    address = _address("futex_wait", array, index)
    return futex.wait(address, int(expected), int(timeout_ns))


def futex_wake(array: Array, index: Index, count: int) -> int:
    """Wake at most `count` of those that sleep at an element; returns how many."""
    return futex.wake(_address("futex_wake", array, index), int(count))


def pause() -> None:
    """Let others go on, between two looks at an element."""
    clock.sleep(0)


def give_way() -> None:
    """Let another process run that waits for this core: sched_yield(2)."""
    os.sched_yield()


def current_core() -> int:
    """The core that this runs on, at this moment: sched_getcpu(3)."""
    return int(ctypes.CDLL(None).sched_getcpu())


def now_ns() -> int:
    """Nanoseconds of a clock that is never set."""
    return clock.monotonic_ns()


def _address(operation: str, array: Array, index: Index) -> int:
    check_array(operation, array)
    return address_of(operation, array, index)
