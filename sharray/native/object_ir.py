"""Machine code that reads Python's objects: numbers, and where they lie in memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from . import array_layout as at
from .atomic_ir import scalar_type

WORD, INT = ir.IntType(64), ir.IntType(32)
_EXACT = 1 << 53  # integers up to this one are the same as float64


class ObjectCode:
    """Writes the code of a function of objects, whose addresses are words.

    Attributes
    ----------
    function : llvmlite.ir.Function
        The function.
    builder : llvmlite.ir.IRBuilder
        At the end of the current block.
    slow : llvmlite.ir.Block
        The block that handles all other objects.
    """

    def __init__(self, function: ir.Function) -> None:
        self.function = function
        self.builder = ir.IRBuilder(function.append_basic_block("start"))
        self.slow = function.append_basic_block("slow")
        self._overflow = self.builder.alloca(INT)

    def require(self, condition: ir.Value) -> None:
        """Go on if a condition is true; otherwise leave it to Python."""
        block = self.function.append_basic_block()
        self.builder.cbranch(condition, block, self.slow)
        self.builder.position_at_end(block)

    # -- values ------------------------------------------------------------------

    def index(self, obj: ir.Value) -> ir.Value:
        """Return the value of an index, of Python or NumPy."""

        def read() -> ir.Value:
            return self.load(obj, at.SCALAR_VALUE)

        return self.by_type(obj, np.int64, read, lambda: self.integer(obj))

    def by_type(
        self,
        obj: ir.Value,
        kind: type,
        same: Callable[[], ir.Value],
        other: Callable[[], ir.Value],
    ) -> ir.Value:
        """Return one of two values, by the type of an object."""
        then, otherwise, found = (self.function.append_basic_block() for _ in range(3))
        is_same = self.equals(self.load(obj, at.TYPE), id(kind))
        self.builder.cbranch(is_same, then, otherwise)
        values = []
        for block, make in ((then, same), (otherwise, other)):
            self.builder.position_at_end(block)
            values.append((make(), self.builder.block))
            self.builder.branch(found)
        self.builder.position_at_end(found)
        value = self.builder.phi(values[0][0].type)
        for one, block in values:
            value.add_incoming(one, block)
        return value

    def integer(self, obj: ir.Value) -> ir.Value:
        """Return the value of an int that fits into 64 bits."""
        self.require(self.equals(self.load(obj, at.TYPE), id(int)))
        convert = self.python_function(
            "PyLong_AsLongLongAndOverflow", WORD, WORD, INT.as_pointer()
        )
        value = self.builder.call(convert, [obj, self._overflow])
        self.require(self.equals(self.builder.load(self._overflow), 0))
        return value

    def element_of(self, obj: ir.Value, dtype: np.dtype[Any]) -> ir.Value:
        """Return a number as an element, the same as NumPy would store."""
        kind = scalar_type(dtype.kind, dtype.itemsize)
        convert = self._real if dtype.kind == "f" else self._whole
        return self.by_type(
            obj,
            dtype.type,
            lambda: self.load(obj, at.SCALAR_VALUE, kind),
            lambda: convert(obj, dtype),
        )

    def _whole(self, obj: ir.Value, dtype: np.dtype[Any]) -> ir.Value:
        value = self.integer(obj)
        kind = scalar_type(dtype.kind, dtype.itemsize)
        if dtype.itemsize == 8:
            if dtype.kind == "u":
                self.require(self.builder.icmp_signed(">=", value, WORD(0)))
            return value
        short = self.builder.trunc(value, kind)
        widen = self.builder.sext if dtype.kind == "i" else self.builder.zext
        self.require(self.builder.icmp_signed("==", widen(short, WORD), value))
        return short

    def _real(self, obj: ir.Value, dtype: np.dtype[Any]) -> ir.Value:
        def read() -> ir.Value:
            return self.load(obj, at.FLOAT_VALUE, ir.DoubleType())

        def convert() -> ir.Value:
            integer = self.integer(obj)
            moved = self.builder.add(integer, WORD(_EXACT))
            self.require(self.builder.icmp_unsigned("<=", moved, WORD(2 * _EXACT)))
            return self.builder.sitofp(integer, ir.DoubleType())

        double = self.by_type(obj, float, read, convert)
        if dtype.itemsize == 8:
            return double
        # NumPy warns of numbers that become infinite; NaN is no number.
        largest = ir.DoubleType()(float(np.finfo("f4").max))
        smallest = ir.DoubleType()(-float(np.finfo("f4").max))
        is_low = self.builder.fcmp_unordered("<=", double, largest)
        is_high = self.builder.fcmp_unordered(">=", double, smallest)
        self.require(self.builder.and_(is_low, is_high))
        return self.builder.fptrunc(double, ir.FloatType())

    # -- instructions ------------------------------------------------------------

    def load(self, address: ir.Value, offset: int, kind: Any = WORD) -> ir.Value:
        """Load a value at some bytes from an address."""
        place = self.builder.add(address, WORD(offset))
        return self.builder.load(self.builder.inttoptr(place, kind.as_pointer()))

    def equals(self, value: ir.Value, constant: int) -> ir.Value:
        """Compare with a constant."""
        return self.builder.icmp_signed("==", value, value.type(constant))

    def python_function(
        self, name: str, result: Any, *arguments: Any, var_arg: int = 0
    ) -> ir.Value:
        """Return a function of Python; with `var_arg`, only so many are declared."""
        found = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
        declared = arguments[:var_arg] if var_arg else arguments
        return self.function_at(found or 0, result, *declared, var_arg=bool(var_arg))

    def function_at(
        self, address: int, result: Any, *arguments: Any, var_arg: bool = False
    ) -> ir.Value:
        """Return the function at an address of this process."""
        kind = ir.FunctionType(result, arguments, var_arg=var_arg)
        return self.builder.inttoptr(WORD(address), kind.as_pointer())
