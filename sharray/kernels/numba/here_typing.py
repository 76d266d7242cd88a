"""`member`, `members` and `offset` for numba, and the code of entries that sets them.

See `sharray.native.parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from ...native import parts
from .. import here
from ..outcome import PLACE

_INT32, _INT64 = ir.IntType(32), ir.IntType(64)
_POINTER = _INT64.as_pointer()
# Functions that code in object mode calls; Python may then ask for the part.
_PYTHON = "numba_gil_ensure"

for _symbol in parts.SYMBOLS:
    llvm.add_symbol(_symbol, parts.key_address())


def _key(builder: ir.IRBuilder, symbol: str) -> ir.Value:
    found = builder.module.globals.get(symbol)
    return builder.load(found or ir.GlobalVariable(builder.module, _INT32, symbol))


def _call(builder: ir.IRBuilder, name: str, result: Any, *values: ir.Value) -> Any:
    kind = ir.FunctionType(result, [value.type for value in values])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, values)


def _reading(index: int, symbol: str) -> Any:
    """Return an intrinsic that reads a word of the part."""

    def read(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            key = _key(builder, symbol)
            words = _call(builder, "pthread_getspecific", _POINTER, key)
            outside = cgutils.is_null(builder, words)
            own = cgutils.alloca_once_value(builder, _INT64(parts.OUTSIDE[index]))
            word = builder.gep(words, [_INT64(index)])
            return builder.load(builder.select(outside, own, word))

        return types.int64(), generate

    return intrinsic(read)


def _overload(function: Callable[[], int], index: int, symbol: str) -> None:
    read = _reading(index, symbol)
    overload(function)(lambda: lambda: read())


_overload(here.member, parts.MEMBER, parts.OF_PART)
_overload(here.offset, parts.OFFSET, parts.OF_PART)
_overload(here.members, parts.MEMBERS, parts.OF_RUN)


def symbols_of(compiled: Any) -> frozenset[str]:
    """Return the symbols outside of numba's code that compiled code refers to."""
    module = compiled.library._get_module_for_linking()
    found = [one for one in module.functions if one.is_declaration]
    return frozenset(one.name for one in [*found, *module.global_variables])


def uses_part(symbols: frozenset[str]) -> bool:
    """Return whether code with these symbols may ask for the part."""
    return not symbols.isdisjoint((*parts.SYMBOLS, _PYTHON))


@contextmanager
def part_set(
    builder: ir.IRBuilder, is_used: bool, out: ir.Value, begin: ir.Value
) -> Iterator[None]:
    """Emit code that sets the words of the part, and restores what was set after it.

    Parameters
    ----------
    builder : IRBuilder
        In an entry.
    is_used : bool
        Whether the kernel needs them; otherwise no code is emitted.
    out, begin : ir.Value
        Arguments of the entry.
    """
    if not is_used:
        yield
        return
    words = cgutils.alloca_once(builder, _INT64, size=3)
    place = builder.bitcast(builder.gep(out, [_INT64(-PLACE)]), _POINTER)
    members = builder.load(builder.gep(place, [_INT64(1)]))
    # A kernel that does not reach its loop has -1.
    is_part = builder.icmp_signed(">", begin, _INT64(0))
    for index, value in (
        (parts.MEMBER, builder.load(place)),
        (parts.MEMBERS, members),
        (parts.OFFSET, builder.select(is_part, begin, _INT64(0))),
    ):
        builder.store(value, builder.gep(words, [_INT64(index)]))
    key = _key(builder, parts.OF_PART)
    before = _call(builder, "pthread_getspecific", _POINTER, key)
    is_direct = builder.icmp_signed("==", members, _INT64(0))
    words = builder.select(is_direct, before, words)
    _call(builder, "pthread_setspecific", _INT32, key, words)
    yield
    _call(builder, "pthread_setspecific", _INT32, key, before)
