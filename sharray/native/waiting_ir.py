"""The code of `sharray.native.waiting`, for both compilers.

numba compiles kernels, and `sharray.native.words` the protocol of teams.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir

CLOCK_MONOTONIC = 1  # linux/time.h
SECOND = 1_000_000_000  # in nanoseconds

_WORD = ir.IntType(64)


def emit_pause(builder: Any) -> None:
    """Append the processor's pause instruction for spin loops, if it has one."""
    # Intrinsics of LLVM: with inline assembly, numba aborts.
    name, operands = {
        "x86_64": ("llvm.x86.sse2.pause", []),
        "aarch64": ("llvm.aarch64.hint", [ir.IntType(32)(1)]),
    }.get(platform.machine(), ("", []))
    if name:
        kind = ir.FunctionType(ir.VoidType(), [one.type for one in operands])
        known = builder.module.globals.get(name)
        builder.call(known or ir.Function(builder.module, kind, name), operands)


def emit_timespec(builder: Any, place: Any, nanoseconds: Any) -> None:
    """Append code that fills a ``struct timespec``, two words at `place`."""
    # Wrong for negative times, for which the caller passes no time.
    builder.store(builder.sdiv(nanoseconds, _WORD(SECOND)), place)
    second = builder.gep(place, [_WORD(1)])
    builder.store(builder.srem(nanoseconds, _WORD(SECOND)), second)
