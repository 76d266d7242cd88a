"""Functions that code of `sharray.native.words` can call, and their translations."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Protocol

from llvmlite import ir

from ..system import futex
from . import atomic, calling, waiting
from .atomic_ir import emit
from .waiting_ir import CLOCK_MONOTONIC, SECOND, emit_pause, emit_timespec

WORD = ir.IntType(64)
POINTER = WORD.as_pointer()


class Body(Protocol):
    """The function being translated."""

    builder: ir.IRBuilder  # at the end of the current block
    start: ir.IRBuilder  # in the block of the variables

    def value(self, node: ast.expr) -> ir.Value:
        """Translate an expression to a word."""

    def element(self, array: ast.expr, index: ast.expr) -> ir.Value:
        """Return a pointer to an element of an array."""

    def external(self, name: str, result: Any, *arguments: Any) -> ir.Function:
        """Return a function of the C library, or an intrinsic function of LLVM."""


def _atomic(operation: str) -> Callable[..., ir.Value]:
    """Return a function that translates calls of an atomic operation."""

    def translate(
        body: Body, array: ast.expr, index: ast.expr, *nodes: ast.expr
    ) -> ir.Value:
        pointer = body.element(array, index)
        values = [body.value(node) for node in nodes]
        results = emit(body.builder, operation, "i", pointer, values)
        return results[0] if results else WORD(0)

    return translate


def _choose(body: Body, symbol: str, left: ast.expr, right: ast.expr) -> ir.Value:
    """Translate `min` or `max`."""
    one, other = body.value(left), body.value(right)
    first = body.builder.icmp_signed(symbol, one, other)
    return body.builder.select(first, one, other)


def _address_of(body: Body, array: ast.expr, index: ast.expr) -> ir.Value:
    """Translate `sharray.native.calling.address_of`."""
    return body.builder.ptrtoint(body.element(array, index), WORD)


def _call_entry(body: Body, entry: ast.expr, *nodes: ast.expr) -> ir.Value:
    """Translate `sharray.native.calling.call_entry`."""
    kind = ir.FunctionType(ir.IntType(32), [WORD] * len(nodes))
    function = body.builder.inttoptr(body.value(entry), kind.as_pointer())
    status = body.builder.call(function, [body.value(one) for one in nodes])
    return body.builder.sext(status, WORD)


def _pause(body: Body) -> ir.Value:
    """Translate `sharray.native.waiting.pause`."""
    emit_pause(body.builder)
    return WORD(0)


def _give_way(body: Body) -> ir.Value:
    """Translate `sharray.native.waiting.give_way`."""
    function = body.external("sched_yield", ir.IntType(32))
    return body.builder.sext(body.builder.call(function, []), WORD)


def _current_core(body: Body) -> ir.Value:
    """Translate `sharray.native.waiting.current_core`."""
    function = body.external("sched_getcpu", ir.IntType(32))
    return body.builder.sext(body.builder.call(function, []), WORD)


def _now_ns(body: Body) -> ir.Value:
    """Translate `sharray.native.waiting.now_ns`."""
    clock = body.external("clock_gettime", ir.IntType(32), ir.IntType(32), POINTER)
    # In the `start` block, like variables: see `words`.
    time = body.start.alloca(WORD, size=2)
    body.builder.call(clock, [ir.IntType(32)(CLOCK_MONOTONIC), time])
    seconds = body.builder.load(time)
    rest = body.builder.load(body.builder.gep(time, [WORD(1)]))
    return body.builder.add(body.builder.mul(seconds, WORD(SECOND)), rest)


def _futex_wait(
    body: Body, array: ast.expr, index: ast.expr, expected: ast.expr, timeout: ast.expr
) -> ir.Value:
    """Translate `sharray.native.waiting.futex_wait`; its value is not used."""
    # futex(2) reads the word once more under a lock of the kernel, and sleeps only if
    # it is `expected`. So a change before that is not missed.
    limit = body.value(timeout)
    time = body.start.alloca(WORD, size=2)
    emit_timespec(body.builder, time, limit)
    # A null pointer means no limit. The time is written in any case, and not read then.
    forever = body.builder.icmp_signed("<", limit, WORD(0))
    address = body.builder.ptrtoint(time, WORD)
    address = body.builder.select(forever, WORD(0), address)
    return _futex(body, array, index, futex.WAIT, body.value(expected), address)


def _futex_wake(
    body: Body, array: ast.expr, index: ast.expr, count: ast.expr
) -> ir.Value:
    """Translate `sharray.native.waiting.futex_wake`."""
    return _futex(body, array, index, futex.WAKE, body.value(count), WORD(0))


def _futex(
    body: Body,
    array: ast.expr,
    index: ast.expr,
    operation: int,
    value: ir.Value,
    time: ir.Value,
) -> ir.Value:
    """Call futex(2)."""
    # By number, since the C library has no function for futex(2).
    call = body.external("syscall", WORD, *[WORD] * 7)
    address = _address_of(body, array, index)
    numbers = WORD(futex.number()), address, WORD(operation), value, time
    return body.builder.call(call, [*numbers, WORD(0), WORD(0)])


# Translations, and numbers of arguments.
PRIMITIVES: dict[Any, tuple[Callable[..., ir.Value], int]] = {
    atomic.load: (_atomic("load"), 2),
    atomic.store: (_atomic("store"), 3),
    atomic.add: (_atomic("add"), 3),
    atomic.sub: (_atomic("sub"), 3),
    atomic.or_: (_atomic("or_"), 3),
    waiting.futex_wait: (_futex_wait, 4),
    waiting.futex_wake: (_futex_wake, 3),
    waiting.current_core: (_current_core, 0),
    waiting.give_way: (_give_way, 0),
    waiting.pause: (_pause, 0),
    waiting.now_ns: (_now_ns, 0),
    calling.address_of: (_address_of, 2),
    calling.call_entry: (_call_entry, 7),
    min: (lambda body, *nodes: _choose(body, "<", *nodes), 2),
    max: (lambda body, *nodes: _choose(body, ">", *nodes), 2),
}
