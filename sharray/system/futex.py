"""Wait until another process changes a word of shared memory: futex(2)."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import sys
from typing import Any

WAIT = 0  # FUTEX_WAIT; FUTEX_PRIVATE_FLAG would not reach other processes
WAKE = 1  # FUTEX_WAKE
EVERYBODY = 2**31 - 1

# asm/unistd.h; little-endian machines, since futex(2) compares the low 32 bits, with
# 64 bits of time.
_NUMBERS = {
    "x86_64": 202,
    "aarch64": 98,
    "loongarch64": 98,
    "ppc64le": 221,
    "riscv64": 98,
}
# Releases the GIL while it runs.
_syscall = getattr(ctypes.CDLL(None, use_errno=True), "syscall", None)
if _syscall is not None:
    _syscall.restype = ctypes.c_long
    # syscall(2) takes any number of arguments. To declare them saves 2 us a call.
    _syscall.argtypes = [
        *(ctypes.c_long, ctypes.c_void_p, ctypes.c_long, ctypes.c_long),
        *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long),
    ]
_BUSY = {errno.EAGAIN, errno.EINTR}


class _Timespec(ctypes.Structure):
    """``struct timespec`` of time.h."""

    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


@functools.cache
def number() -> int:
    """Return the number of the system call on this machine.

    Raises
    ------
    NotImplementedError
        The system is not Linux, or the machine is not in the table.
    """
    machine = platform.machine()
    known = machine in _NUMBERS and sys.maxsize > 2**32
    if not sys.platform.startswith("linux") or not known:
        raise NotImplementedError(
            f"waiting in shared memory needs futex(2): expected Linux on one of "
            f"{sorted(_NUMBERS)}, got {sys.platform} on {machine}"
        )
    return _NUMBERS[machine]


def wait(address: int, expected: int, timeout_ns: int) -> bool:
    """Sleep while the 32 bits at `address` are `expected`, without the GIL.

    Parameters
    ----------
    address : int
        Address of four bytes, a multiple of 4.
    expected : int
        The value that the caller has read there; only the low 32 bits count.
    timeout_ns : int
        Longest time to sleep, in nanoseconds; negative for no limit.

    Returns
    -------
    bool
        False after a timeout. True does not mean that the value has changed: a
        signal ends the sleep as well. Read the value, and wait again.
    """
    limit = None
    if timeout_ns >= 0:
        limit = ctypes.byref(_Timespec(*divmod(timeout_ns, 1_000_000_000)))
    if _futex(address, WAIT, expected, limit) >= 0:
        return True
    code = ctypes.get_errno()
    if code != errno.ETIMEDOUT and code not in _BUSY:
        raise OSError(code, os.strerror(code))
    return code != errno.ETIMEDOUT


def wake(address: int, count: int = EVERYBODY) -> int:
    """Wake at most `count` threads that sleep at `address`; return how many."""
    woken = _futex(address, WAKE, count, None)
    if woken < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return woken


def _futex(address: int, operation: int, value: int, limit: Any) -> int:
    """Call futex(2) with all of its six arguments."""
    if _syscall is None:
        raise NotImplementedError("this platform's C library has no syscall")
    value &= 0xFFFFFFFF
    return int(_syscall(number(), address, operation, value, limit, None, 0))
