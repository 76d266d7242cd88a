"""The code of an entry that reads arguments from slots, and cuts out the chunk."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from .cells_typing import CellsType

_INT64 = ir.IntType(64)


class SlotReader:
    """Emits the code that reads arguments from slots, one after the other."""

    def __init__(
        self,
        context: Any,
        builder: ir.IRBuilder,
        slots: ir.Value,
        bases: ir.Value,
        begin: ir.Value,
        end: ir.Value,
    ) -> None:
        self.context = context
        self.builder = builder
        self.slots, self.bases = slots, bases
        self.begin, self.end = begin, end
        self.position = 0

    def read(self, kind: Any) -> ir.Value:
        """Emit the code that reads an argument of a numba type; return its value."""
        if isinstance(kind, types.Array):
            return self._read_array(kind)
        if isinstance(kind, CellsType):
            proxy = cgutils.create_struct_proxy(kind)(self.context, self.builder)
            proxy.cells = self._read_array(kind.cells)
            return proxy._getvalue()
        if isinstance(kind, types.BaseTuple):
            items = [self.read(item) for item in kind]
            return self.context.make_tuple(self.builder, kind, items)
        if kind == types.none:
            return self.context.get_dummy_value()
        return self._read_number(kind)

    def words(self, count: int) -> list[ir.Value]:
        """Emit the code that reads words; return them."""
        return [self._word() for _ in range(count)]

    def _pointer(self) -> ir.Value:
        pointer = self.builder.gep(self.slots, [_INT64(self.position)], inbounds=True)
        self.position += 1
        return pointer

    def _word(self) -> ir.Value:
        return self.builder.load(self._pointer())

    def _read_number(self, kind: Any) -> ir.Value:
        # The type in memory, not numba's type for computing: a bool has 8 bits here.
        pointer = self._pointer()
        stored = self.context.get_data_type(kind)
        self.position += -(-self.context.get_abi_sizeof(stored) // 8) - 1
        pointer = self.builder.bitcast(pointer, stored.as_pointer())
        return self.context.unpack_value(self.builder, kind, pointer)

    def _read_array(self, kind: Any) -> ir.Value:
        builder = self.builder
        # In the order of `sharray.kernels.argument_keys.array_slots`.
        base, offset, axis = self._word(), self._word(), self._word()
        shape = [self._word() for _ in range(kind.ndim)]
        strides = [self._word() for _ in range(kind.ndim)]
        address = builder.add(builder.load(builder.gep(self.bases, [base])), offset)
        length = builder.sub(self.end, self.begin)
        # Selects instead of branches. -1 is no dimension, so a whole array is not cut.
        for dimension in range(kind.ndim):
            cut = builder.icmp_signed("==", axis, _INT64(dimension))
            start = builder.mul(self.begin, strides[dimension])
            address = builder.select(cut, builder.add(address, start), address)
            shape[dimension] = builder.select(cut, length, shape[dimension])
        return self._make_array(kind, address, shape, strides)

    def _make_array(
        self, kind: Any, address: ir.Value, shape: list[ir.Value], strides: list[Any]
    ) -> ir.Value:
        context, builder = self.context, self.builder
        array = context.make_array(kind)(context, builder)
        count = _INT64(1)
        for length in shape:
            count = builder.mul(count, length)
        array.data = builder.inttoptr(address, array.data.type)
        array.nitems = count
        array.itemsize = _INT64(
            context.get_abi_sizeof(context.get_data_type(kind.dtype))
        )
        array.shape = cgutils.pack_array(builder, shape, ty=_INT64)
        array.strides = cgutils.pack_array(builder, strides, ty=_INT64)
        # No owner. Otherwise numba would free the memory, which belongs to a mapping,
        # with the last reference.
        array.meminfo = ir.Constant(array.meminfo.type, None)
        array.parent = ir.Constant(array.parent.type, None)
        return array._getvalue()
