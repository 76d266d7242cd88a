"""The code of entries that seeds the random numbers of a part.

numba has a Mersenne twister for each thread and module. A run with a seed sets it
before a part, and restores it afterwards: other kernels must not repeat the numbers of
the last part. `sharray.kernels.numba_random` has the layout of the state.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from .. import seeding
from ..numba_random import (
    GETTERS,
    HAS_GAUSS,
    INDEX,
    IS_INITIALIZED,
    NBYTES,
    STATE,
    STATE_SIZE,
)
from .entry_values import call

_INT64, _INT8 = ir.IntType(64), ir.IntType(8)
_STEPS = seeding.STEPS
_mix = numba.njit(seeding.mix)


@functools.cache
def _fill() -> Any:
    """Compile the function that sets a state."""
    counters = numba.njit(_counters)

    @numba.njit
    def fill(words: Any, first: Any, second: Any, part: Any) -> None:
        one, other = counters(first, second, part)
        for k in range(STATE_SIZE // 2):
            one += _STEPS[0]
            other += _STEPS[1]
            word = _mix(one) ^ _mix(other)
            words[STATE + 2 * k] = np.uint32(word & np.uint64(0xFFFFFFFF))
            words[STATE + 2 * k + 1] = np.uint32(word >> np.uint64(32))
        words[INDEX] = STATE_SIZE  # all numbers of the state are used up
        words[HAS_GAUSS] = 0
        words[IS_INITIALIZED] = 1

    kinds = (types.CPointer(types.uint32), types.uint64, types.uint64, types.uint64)
    fill.compile(kinds)
    return fill.overloads[kinds]


# `seeding.counters` with a `mix` that numba has compiled.
def _counters(first: Any, second: Any, part: Any) -> Any:
    one = _mix(first + _mix(part + _STEPS[0]))
    return one, _mix(second + _mix(one ^ (part + _STEPS[1])))


def seeding_code(symbols: frozenset[str]) -> list[Any]:
    """Return the functions to link to an entry of a kernel with these symbols."""
    return [_fill()] if _modules(symbols) else []


def _modules(symbols: frozenset[str]) -> list[int]:
    return [module for module, name in GETTERS.items() if name in symbols]


@contextmanager
def seed_set(
    context: Any,
    builder: ir.IRBuilder,
    symbols: frozenset[str],
    words: list[ir.Value],
    begin: ir.Value,
) -> Iterator[None]:
    """Emit code that seeds random numbers, and restores their states after it.

    Parameters
    ----------
    context, builder
        numba's context, and LLVM's builder in an entry.
    symbols : frozenset of str
        The symbols of the kernel, which tell which random numbers it may draw.
    words : list of ir.Value
        The words of the seed in the slots.
    begin : ir.Value
        The index at which the part begins.
    """
    modules = _modules(symbols)
    if not modules:
        yield
        return
    is_seeded = builder.icmp_signed("!=", words[0], _INT64(0))
    is_part = builder.icmp_signed(">", begin, _INT64(0))
    part = builder.mul(builder.select(is_part, begin, _INT64(0)), _INT64(2))
    kind = ir.ArrayType(_INT8, NBYTES)
    saved = {module: cgutils.alloca_once(builder, kind) for module in modules}
    with builder.if_then(is_seeded):
        for module, place in saved.items():
            state = _state(builder, module)
            cgutils.raw_memcpy(builder, place, state, _INT64(NBYTES), 1)
            state = builder.bitcast(state, ir.IntType(32).as_pointer())
            number = builder.add(part, _INT64(module))
            call(context, builder, _fill(), [state, words[1], words[2], number])
    yield
    with builder.if_then(is_seeded):
        for module, place in saved.items():
            state = _state(builder, module)
            cgutils.raw_memcpy(builder, state, place, _INT64(NBYTES), 1)


def _state(builder: ir.IRBuilder, module: int) -> ir.Value:
    kind = ir.FunctionType(_INT8.as_pointer(), [])
    getter = cgutils.get_or_insert_function(builder.module, kind, GETTERS[module])
    return builder.call(getter, [])
