"""The code that stores what a kernel returned, and combines it with what is there."""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types

from ..outcome import CELL, FIRST_CELL, USED

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
BYTES = ir.IntType(8).as_pointer()
_MERGE = ir.FunctionType(_INT32, [BYTES, BYTES, BYTES.as_pointer()])


class Reducer(NamedTuple):
    """How values of a kernel are combined.

    Attributes
    ----------
    compiled : list
        numba's compile results of the function of two arguments: one for each item
        of a tuple, or a single one for the whole value.
    itemwise : bool
        Whether it combines the items of tuples one by one.
    kept : numba type
        Of what has been combined so far.
    """

    compiled: list[Any]
    itemwise: bool
    kept: Any


def call(
    context: Any, builder: ir.IRBuilder, compiled: Any, values: list[ir.Value]
) -> tuple[Any, ir.Value]:
    """Call a compiled function; returns its status and its value."""
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


def items_of(kind: Any) -> list[Any]:
    """The types in a tuple, or the type itself."""
    return list(kind) if isinstance(kind, types.BaseTuple) else [kind]


def tuple_like(kind: Any, items: list[Any]) -> Any:
    """The type of a tuple with other items; named if `kind` is."""
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
    """Store what the kernel returned, combined with what is there already."""
    returned = compiled.signature.return_type
    if reducer is None:
        _Cells(context, builder, returned, out).store(value)
        return
    # The first value is stored as it is, the others are combined. Without the
    # conversion they would lie in cells of different types.
    value = _cast(context, builder, value, returned, reducer.kept)
    _fold(context, builder, reducer, out, value, error)


def _cast(
    context: Any, builder: ir.IRBuilder, value: ir.Value, kind: Any, to: Any
) -> ir.Value:
    """Convert a value, a tuple item by item, as numba does not for named ones."""
    if not isinstance(kind, types.BaseTuple):
        return context.cast(builder, value, kind, to)
    items = [
        context.cast(builder, builder.extract_value(value, number), *pair)
        for number, pair in enumerate(zip(kind, to, strict=True))
    ]
    return context.make_tuple(builder, to, items)


def write_merge(module: ir.Module, name: str, context: Any, reducer: Reducer) -> None:
    """Write the function that combines one outcome with another."""
    function = ir.Function(module, _MERGE, name)
    builder = ir.IRBuilder(function.append_basic_block())
    out, other, error = function.args
    theirs = _Cells(context, builder, reducer.kept, other)
    # A member that came late has done no chunk, and stored nothing.
    with builder.if_then(theirs.is_used()):
        _fold(context, builder, reducer, out, theirs.load(), error)
    builder.ret(_INT32(0))


def _fold(
    context: Any,
    builder: ir.IRBuilder,
    reducer: Reducer,
    out: ir.Value,
    value: ir.Value,
    error: ir.Value,
) -> None:
    """Combine a value with what is stored, or store it if nothing is."""
    cells = _Cells(context, builder, reducer.kept, out)
    with builder.if_else(cells.is_used()) as (again, first):
        with again:
            # Combined as a whole before any cell changes: a reducer that raises leaves
            # what was there.
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
    """Call the reducer; the function being built returns if that raises."""
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
    with builder.if_then(status.is_error, likely=False):
        builder.store(builder.bitcast(status.excinfoptr, BYTES), error)
        builder.ret(status.code)
    return value


class _Cells:
    """Writes the code that stores and loads a value: see `sharray.kernels.outcome`."""

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
        """Whether a value was stored before."""
        used = self.builder.load(self._pointer(USED, types.int64))
        return self.builder.icmp_signed("!=", used, _INT64(0))

    def store(self, value: ir.Value) -> None:
        """Store a value of the type given at first."""
        for number, kind in enumerate(items_of(self.kind)):
            item = value
            if isinstance(self.kind, types.BaseTuple):
                item = self.builder.extract_value(value, number)
            self.context.pack_value(self.builder, kind, item, self._cell(number, kind))
        self.builder.store(_INT64(1), self._pointer(USED, types.int64))

    def load(self) -> ir.Value:
        """The value stored before."""
        items = [
            self.context.unpack_value(self.builder, kind, self._cell(number, kind))
            for number, kind in enumerate(items_of(self.kind))
        ]
        if isinstance(self.kind, types.BaseTuple):
            return self.context.make_tuple(self.builder, self.kind, items)
        return items[0]
