"""A fence for the stores of all processes: membarrier(2).

A processor may let a later load overtake an earlier store, x86 as well. If two
processes each store a word and then load the other's, both may miss it. One of them
must have a fence between the two steps, and so must the other. Python has none.

With membarrier(2), the process that does this rarely pays for both: the kernel has
every processor run a fence. The other process needs only its order of program.
"""

from __future__ import annotations

import ctypes
import platform
import sys

from . import clock

_CMD_GLOBAL = 1
# asm/unistd.h.
_NUMBERS = {
    "x86_64": 324,
    "aarch64": 283,
    "loongarch64": 283,
    "ppc64le": 365,
    "riscv64": 283,
}
# Stores reach the other processors in less than a microsecond.
_PATIENCE = 0.01
_syscall = getattr(ctypes.CDLL(None, use_errno=True), "syscall", None)


def fence_everywhere() -> None:
    """Return when every process has had a fence between its stores and loads.

    Takes milliseconds. Where the kernel lacks the call, this waits until no processor
    can still hold back a store.
    """
    if not _membarrier():
        clock.sleep(_PATIENCE)


def _membarrier() -> bool:
    """Ask the kernel for a fence on every processor; return whether there was one."""
    is_linux = sys.platform.startswith("linux") and sys.maxsize > 2**32
    number = _NUMBERS.get(platform.machine())
    if not is_linux or number is None or _syscall is None:
        return False
    return bool(_syscall(*map(ctypes.c_long, (number, _CMD_GLOBAL, 0, 0))) == 0)
