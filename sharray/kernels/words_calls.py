"""What functions on words can call besides each other: see `sharray.kernels.words`."""

from __future__ import annotations

import ast
import platform
from collections.abc import Callable
from typing import Any, Protocol

from llvmlite import ir

from ..system import futex
from . import atomic, calling, waiting

WORD = ir.IntType(64)
POINTER = WORD.as_pointer()
ORDERING = "seq_cst"
_BILLION = WORD(1_000_000_000)
_CLOCK_MONOTONIC = 1  # linux/time.h
# LLVM's intrinsic for loops that wait, with its operands.
_PAUSE: dict[str, tuple[str, list[int]]] = {
    "x86_64": ("llvm.x86.sse2.pause", []),
    "aarch64": ("llvm.aarch64.hint", [1]),
}


class Body(Protocol):
    """The function being translated."""

    builder: ir.IRBuilder  # where the code goes
    start: ir.IRBuilder  # where variables are made

    def value(self, node: ast.expr) -> ir.Value:
        """Translate an expression."""

    def element(self, array: ast.expr, index: ast.expr) -> ir.Value:
        """Translate an element of an array: a pointer to it."""

    def external(self, name: str, result: Any, *arguments: Any) -> ir.Function:
        """A function of the C library, or an intrinsic one of LLVM."""


def _load(body: Body, array: ast.expr, index: ast.expr) -> ir.Value:
    """Translate `sharray.kernels.atomic.load`."""
    return body.builder.load_atomic(body.element(array, index), ORDERING, 8)


def _store_atomic(
    body: Body, array: ast.expr, index: ast.expr, value: ast.expr
) -> ir.Value:
    """Translate `sharray.kernels.atomic.store`."""
    pointer = body.element(array, index)
    body.builder.store_atomic(body.value(value), pointer, ORDERING, 8)
    return WORD(0)


def _change(
    body: Body, operation: str, array: ast.expr, index: ast.expr, value: ast.expr
) -> ir.Value:
    """Translate what reads and writes in one step."""
    pointer = body.element(array, index)
    return body.builder.atomic_rmw(operation, pointer, body.value(value), ORDERING)


def _choose(body: Body, symbol: str, left: ast.expr, right: ast.expr) -> ir.Value:
    """Translate `min` or `max`."""
    one, other = body.value(left), body.value(right)
    first = body.builder.icmp_signed(symbol, one, other)
    return body.builder.select(first, one, other)


def _address_of(body: Body, array: ast.expr, index: ast.expr) -> ir.Value:
    """Translate `sharray.kernels.calling.address_of`."""
    return body.builder.ptrtoint(body.element(array, index), WORD)


def _call_entry(body: Body, entry: ast.expr, *nodes: ast.expr) -> ir.Value:
    """Translate `sharray.kernels.calling.call_entry`."""
    kind = ir.FunctionType(ir.IntType(32), [WORD] * len(nodes))
    function = body.builder.inttoptr(body.value(entry), kind.as_pointer())
    status = body.builder.call(function, [body.value(one) for one in nodes])
    return body.builder.sext(status, WORD)


def _pause(body: Body) -> ir.Value:
    """Translate `sharray.kernels.waiting.pause`."""
    name, arguments = _PAUSE.get(platform.machine(), ("", []))
    if name:
        values = [ir.IntType(32)(one) for one in arguments]
        kinds = [one.type for one in values]
        function = body.external(name, ir.VoidType(), *kinds)
        body.builder.call(function, values)
    return WORD(0)


def _now_ns(body: Body) -> ir.Value:
    """Translate `sharray.kernels.waiting.now_ns`."""
    clock = body.external("clock_gettime", ir.IntType(32), ir.IntType(32), POINTER)
    time = body.start.alloca(WORD, size=2)
    body.builder.call(clock, [ir.IntType(32)(_CLOCK_MONOTONIC), time])
    seconds = body.builder.load(time)
    rest = body.builder.load(body.builder.gep(time, [WORD(1)]))
    return body.builder.add(body.builder.mul(seconds, _BILLION), rest)


def _futex_wait(
    body: Body, array: ast.expr, index: ast.expr, expected: ast.expr, timeout: ast.expr
) -> ir.Value:
    """Translate `sharray.kernels.waiting.futex_wait`; its value is not used."""
    limit = body.value(timeout)
    time = body.start.alloca(WORD, size=2)
    body.builder.store(body.builder.sdiv(limit, _BILLION), time)
    rest = body.builder.gep(time, [WORD(1)])
    body.builder.store(body.builder.srem(limit, _BILLION), rest)
    forever = body.builder.icmp_signed("<", limit, WORD(0))
    address = body.builder.ptrtoint(time, WORD)
    address = body.builder.select(forever, WORD(0), address)
    return _futex(body, array, index, futex.WAIT, body.value(expected), address)


def _futex_wake(
    body: Body, array: ast.expr, index: ast.expr, count: ast.expr
) -> ir.Value:
    """Translate `sharray.kernels.waiting.futex_wake`."""
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
    call = body.external("syscall", WORD, *[WORD] * 7)
    address = _address_of(body, array, index)
    numbers = WORD(futex.number()), address, WORD(operation), value, time
    return body.builder.call(call, [*numbers, WORD(0), WORD(0)])


def _changing(operation: str) -> Callable[..., ir.Value]:
    return lambda body, *nodes: _change(body, operation, *nodes)


PRIMITIVES: dict[Any, Callable[..., ir.Value]] = {
    atomic.load: _load,
    atomic.store: _store_atomic,
    atomic.add: _changing("add"),
    atomic.sub: _changing("sub"),
    atomic.or_: _changing("or"),
    waiting.futex_wait: _futex_wait,
    waiting.futex_wake: _futex_wake,
    waiting.pause: _pause,
    waiting.now_ns: _now_ns,
    calling.address_of: _address_of,
    calling.call_entry: _call_entry,
    min: lambda body, *nodes: _choose(body, "<", *nodes),
    max: lambda body, *nodes: _choose(body, ">", *nodes),
}
