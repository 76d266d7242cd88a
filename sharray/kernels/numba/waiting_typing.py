"""Functions that wait for other processes, for numba kernels.

Kernels call functions of the C library by name, so that their machine code runs in
other processes, too.
"""

from __future__ import annotations

import errno
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from ...native import waiting
from ...native.waiting_ir import (
    CLOCK_MONOTONIC,
    SECOND,
    emit_pause,
    emit_timespec,
)
from ...system import futex
from .atomic_typing import check_element, element_pointer

_LOW_32_BITS = 0xFFFFFFFF
_WORD = ir.IntType(64)  # `futex.number` refuses machines of 32 bits

_syscall = types.ExternalFunction("syscall", types.intp(*([types.intp] * 7)))
# errno in glibc and musl.
_errno_location = types.ExternalFunction(
    "__errno_location", types.CPointer(types.int32)()
)
_clock_gettime = types.ExternalFunction(
    "clock_gettime", types.int32(types.int32, types.CPointer(types.int64))
)


def _type_address(typing_context: Any, array: Any, index: Any) -> Any:
    """Return signature and code of an intrinsic: the address of an element."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, "futex", signature.args, args)
        return builder.ptrtoint(pointer, _WORD)

    return types.intp(array, index), generate


def _type_integer(typing_context: Any, pointer: Any) -> Any:
    """Return signature and code of an intrinsic: a pointer as an integer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], _WORD)

    return types.intp(pointer), generate


def _type_timespec(typing_context: Any, nanoseconds: Any) -> Any:
    """Return signature and code of an intrinsic: a ``struct timespec`` on the stack."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = cgutils.alloca_once(builder, _WORD, size=2)
        emit_timespec(builder, place, args[0])
        return place

    return types.CPointer(types.int64)(types.int64), generate


def _type_pause(typing_context: Any) -> Any:
    """Return signature and code of an intrinsic: the pause of spin loops."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit_pause(builder)
        return context.get_dummy_value()

    return types.void(), generate


_address = intrinsic(_type_address)
_integer = intrinsic(_type_integer)
_timespec = intrinsic(_type_timespec)
_pause = intrinsic(_type_pause)


def _overload_wait(array: Any, index: Any, expected: Any, timeout_ns: Any) -> Any:
    check_element("futex_wait", array, index)
    number, timed_out, operation = futex.number(), errno.ETIMEDOUT, futex.WAIT

    def wait(array: Any, index: Any, expected: Any, timeout_ns: Any) -> Any:
        address = _address(array, index)
        limit = _integer(_timespec(timeout_ns)) if timeout_ns >= 0 else 0
        value = expected & _LOW_32_BITS
        failed = _syscall(number, address, operation, value, limit, 0, 0) < 0
        return not (failed and _errno_location()[0] == timed_out)

    return wait


def _overload_wake(array: Any, index: Any, count: Any) -> Any:
    check_element("futex_wake", array, index)
    number, operation = futex.number(), futex.WAKE

    def wake(array: Any, index: Any, count: Any) -> Any:
        address = _address(array, index)
        return _syscall(number, address, operation, count, 0, 0, 0)

    return wake


def _overload_pause() -> Any:
    def pause() -> None:
        _pause()

    return pause


def _overload_now_ns() -> Any:
    def now_ns() -> Any:
        found = _timespec(0)
        _clock_gettime(CLOCK_MONOTONIC, found)
        return found[0] * SECOND + found[1]

    return now_ns


overload(waiting.futex_wait)(_overload_wait)
overload(waiting.futex_wake)(_overload_wake)
overload(waiting.pause)(_overload_pause)
overload(waiting.now_ns)(_overload_now_ns)
