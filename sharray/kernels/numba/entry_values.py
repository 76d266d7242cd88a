"""The code of an entry that stores the kernel's value, or combines it with others."""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types

from ..outcome import CELL, FIRST_CELL, USED

INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
BYTES = ir.IntType(8).as_pointer()
MERGE = ir.FunctionType(INT32, [BYTES, BYTES, BYTES.as_pointer()])


class Reducer(NamedTuple):
    """The operation that combines values of a kernel.

    Attributes
    ----------
    compiled : list
        numba's compile results of the function of two arguments: one for each item
        of a tuple, or a single one for the whole value.
    itemwise : bool
        Whether it combines each item of a tuple separately.
    kept : numba type
        Type of the combined value.
    """

    compiled: list[Any]
    itemwise: bool
    kept: Any


def call(
    context: Any, builder: ir.IRBuilder, compiled: Any, values: list[ir.Value]
) -> tuple[Any, ir.Value]:
    """Emit a call of a compiled function; return its status and its value."""
    description = compiled.fndesc
    kind = context.call_conv.get_function_type(
        description.restype, description.argtypes
    )
    function = cgutils.get_or_insert_function(
        builder.module, kind, description.llvm_func_name
    )
    status, value = context.call_conv.call_function(
        builder, function, description.restype, description.argtypes, values
    )
    return status, value


def return_error(builder: ir.IRBuilder, status: Any, error: ir.Value) -> None:
    """Emit the code that returns if a called function has raised."""
    with builder.if_then(status.is_error, likely=False):
        builder.store(builder.bitcast(status.excinfoptr, BYTES), error)
        builder.ret(status.code)


def items_of(kind: Any) -> list[Any]:
    """Return the types in a tuple, or the type itself."""
    return list(kind) if isinstance(kind, types.BaseTuple) else [kind]


def tuple_like(kind: Any, items: list[Any]) -> Any:
    """Return the type of a tuple with other items; named if `kind` is."""
    named = isinstance(kind, types.BaseNamedTuple)
    return types.BaseTuple.from_types(items, kind.instance_class if named else None)


def store_value(
    context: Any,
    builder: ir.IRBuilder,
    compiled: Any,
    value: ir.Value,
    reducer: Reducer | None,
    out: ir.Value,
    error: ir.Value,
) -> None:
    """Emit the code that stores the kernel's value, combined with the stored one."""
    returned = compiled.signature.return_type
    if reducer is None:
        _Cells(context, builder, returned, out).store(value)
        return
    # The first value is stored, later ones are combined with it. Without the
    # conversion, the cells could have different types.
    value = _cast(context, builder, value, returned, reducer.kept)
    _fold(context, builder, reducer, out, value, error)


def _cast(
    context: Any, builder: ir.IRBuilder, value: ir.Value, kind: Any, to: Any
) -> ir.Value:
    """Convert a value, a tuple item by item: numba cannot convert named tuples."""
    if not isinstance(kind, types.BaseTuple):
        return context.cast(builder, value, kind, to)
    items = [
        context.cast(builder, builder.extract_value(value, number), *pair)
        for number, pair in enumerate(zip(kind, to, strict=True))
    ]
    return context.make_tuple(builder, to, items)


def write_merge(module: ir.Module, name: str, context: Any, reducer: Reducer) -> None:
    """Emit the function that combines one outcome with another."""
    function = ir.Function(module, MERGE, name)
    builder = ir.IRBuilder(function.append_basic_block())
    out, other, error = function.args
    theirs = _Cells(context, builder, reducer.kept, other)
    # A late member may have done no chunk, and stored nothing.
    with builder.if_then(theirs.is_used()):
        _fold(context, builder, reducer, out, theirs.load(), error)
    builder.ret(INT32(0))


def _fold(
    context: Any,
    builder: ir.IRBuilder,
    reducer: Reducer,
    out: ir.Value,
    value: ir.Value,
    error: ir.Value,
) -> None:
    """Emit the code that combines a value with the stored one, or stores the first."""
    cells = _Cells(context, builder, reducer.kept, out)
    with builder.if_else(cells.is_used()) as (again, first):
        with again:
            # Combine all items before any cell changes, so that a reducer that raises
            # leaves the stored value.
            before = cells.load()
            cells.store(_combine(context, builder, reducer, before, value, error))
        with first:
            cells.store(value)


def _combine(
    context: Any,
    builder: ir.IRBuilder,
    reducer: Reducer,
    left: ir.Value,
    right: ir.Value,
    error: ir.Value,
) -> ir.Value:
    """Emit a call of the reducer; the built function returns if that raises."""
    if not reducer.itemwise:
        return _call_reducer(context, builder, reducer.compiled[0], left, right, error)
    combined = [
        _call_reducer(
            context,
            builder,
            one,
            builder.extract_value(left, number),
            builder.extract_value(right, number),
            error,
        )
        for number, one in enumerate(reducer.compiled)
    ]
    return context.make_tuple(builder, reducer.kept, combined)


def _call_reducer(
    context: Any,
    builder: ir.IRBuilder,
    compiled: Any,
    left: ir.Value,
    right: ir.Value,
    error: ir.Value,
) -> ir.Value:
    status, value = call(context, builder, compiled, [left, right])
    return_error(builder, status, error)
    return value


class _Cells:
    """Emits the code that stores and loads a value: see `sharray.kernels.outcome`."""

    def __init__(
        self, context: Any, builder: ir.IRBuilder, kind: Any, out: ir.Value
    ) -> None:
        self.context, self.builder, self.kind, self.out = context, builder, kind, out

    def _pointer(self, offset: int, kind: Any) -> ir.Value:
        pointer = self.builder.gep(self.out, [_INT64(offset)])
        stored = self.context.get_data_type(kind)
        return self.builder.bitcast(pointer, stored.as_pointer())

    def _cell(self, number: int, kind: Any) -> ir.Value:
        return self._pointer(FIRST_CELL + number * CELL, kind)

    def is_used(self) -> ir.Value:
        """Return whether a value was stored before."""
        used = self.builder.load(self._pointer(USED, types.int64))
        return self.builder.icmp_signed("!=", used, _INT64(0))

    def store(self, value: ir.Value) -> None:
        """Store a value of type `kind`."""
        for number, kind in enumerate(items_of(self.kind)):
            item = value
            if isinstance(self.kind, types.BaseTuple):
                item = self.builder.extract_value(value, number)
            self.context.pack_value(self.builder, kind, item, self._cell(number, kind))
        self.builder.store(_INT64(1), self._pointer(USED, types.int64))

    def load(self) -> ir.Value:
        """Return the stored value."""
        items = [
            self.context.unpack_value(self.builder, kind, self._cell(number, kind))
            for number, kind in enumerate(items_of(self.kind))
        ]
        if isinstance(self.kind, types.BaseTuple):
            return self.context.make_tuple(self.builder, self.kind, items)
        return items[0]
