"""The machine code of built-in functions that run atomic operations.

::

    arguments --> array? --> index in bounds? --> dtype? --> aligned? --> values fit?
                    |               |               |           |             |
                    +---------------+----- no ------+-----------+-------------+
                                           |                                  | yes
                                           v                                  v
                               the function in Python,              the operation, and
                               with the same arguments              the old value

The code handles what is common: integers as indices, and Python's own numbers as
values. It has no errors of its own. For anything else it calls the function in Python,
which either runs the operation, or raises the error.

Invariant: nothing is changed before all checks have passed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from . import array_layout as at
from .atomic_ir import emit, scalar_type
from .atomic_operations import OPERATIONS

WORD, INT, BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_DTYPES = tuple(np.dtype(char) for char in "bBhHiIlLqQfd")
_EXACT = 1 << 53  # integers up to this one are the same as float64


class Builtin(NamedTuple):
    """A function to make.

    Attributes
    ----------
    operation : str
        Name of a function of `sharray.native.atomic`.
    as_int : bool
        Whether it returns Python's own integer, for arrays of int64 only.
    instead : int
        Address of the function in Python.
    """

    operation: str
    as_int: bool
    instead: int


def module_of(name: str, wanted: Builtin) -> ir.Module:
    """Return a module with ``PyObject *name(self, PyObject **arguments, n)``."""
    module = ir.Module(name)
    function = ir.Function(module, ir.FunctionType(WORD, [WORD] * 3), name)
    _Writer(function, wanted).write()
    return module


class _Writer:
    """Writes the code of one function; `builder` is at the end of the current block."""

    def __init__(self, function: ir.Function, wanted: Builtin) -> None:
        self._function = function
        self._wanted = wanted
        self._operation = OPERATIONS[wanted.operation]
        self.builder = ir.IRBuilder(function.append_basic_block("start"))
        self._overflow = self.builder.alloca(INT)
        self._cell = self.builder.alloca(WORD)  # room for an element
        self._slow = function.append_basic_block("slow")
        _, self._arguments, self._number = function.args

    def write(self) -> None:
        """Write the function."""
        wanted = 2 + self._operation.values
        self._require(self._is(self._number, wanted))
        array = self._load(self._arguments, 0)
        self._check_array(array)
        address = self._element(array)
        descr = self._load(array, at.DESCR)
        order = self._load(descr, at.BYTE_ORDER, BYTE)
        is_own = self.builder.or_(self._is(order, ord("=")), self._is(order, ord("|")))
        self._require(is_own)
        number = self._load(descr, at.TYPE_NUMBER, INT)
        choice = self.builder.switch(number, self._slow)
        for dtype in _DTYPES:
            if self._supports(dtype):
                block = self._function.append_basic_block(dtype.char)
                choice.add_case(INT(dtype.num), block)
                self.builder.position_at_end(block)
                self._operate(dtype, array, descr, address)
        self.builder.position_at_end(self._slow)
        call = self._python("PyObject_Vectorcall", WORD, *[WORD] * 4)
        instead = WORD(self._wanted.instead)
        arguments = instead, self._arguments, self._number, WORD(0)
        self.builder.ret(self.builder.call(call, arguments))

    def _supports(self, dtype: np.dtype[Any]) -> bool:
        if self._wanted.as_int and dtype.str != "<i8":
            return False
        return self._operation.takes(dtype.kind, dtype.itemsize)

    # -- checks ------------------------------------------------------------------

    def _require(self, condition: ir.Value) -> None:
        """Go on if a condition is true; otherwise leave it to Python."""
        block = self._function.append_basic_block()
        self.builder.cbranch(condition, block, self._slow)
        self.builder.position_at_end(block)

    def _check_array(self, array: ir.Value) -> None:
        kind = self._load(array, at.TYPE)
        plain = self._function.append_basic_block()
        other = self._function.append_basic_block()
        self.builder.cbranch(self._is(kind, id(np.ndarray)), plain, other)
        self.builder.position_at_end(other)
        is_subtype = self._python("PyType_IsSubtype", INT, WORD, WORD)
        found = self.builder.call(is_subtype, [kind, WORD(id(np.ndarray))])
        self.builder.cbranch(self._is(found, 0), self._slow, plain)
        self.builder.position_at_end(plain)
        if self._operation.writes:
            # An array that warns on its first write goes to Python, too.
            flags = self._load(array, at.FLAGS, INT)
            mask = INT(at.WRITEABLE | at.WARN_ON_WRITE)
            self._require(self._is(self.builder.and_(flags, mask), at.WRITEABLE))

    def _element(self, array: ir.Value) -> ir.Value:
        """Return the address of the element, which is within the array."""
        items, number = self._indices()
        ndim = self.builder.sext(self._load(array, at.NDIM, INT), WORD)
        self._require(self.builder.icmp_signed("==", ndim, number))
        shape, strides = self._load(array, at.SHAPE), self._load(array, at.STRIDES)
        data = self._load(array, at.DATA)
        before = self.builder.block
        head, body, done = (self._function.append_basic_block() for _ in range(3))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        k, address = self.builder.phi(WORD), self.builder.phi(WORD)
        k.add_incoming(WORD(0), before)
        address.add_incoming(data, before)
        more = self.builder.icmp_signed("<", k, number)
        self.builder.cbranch(more, body, done)
        self.builder.position_at_end(body)
        at_k = self.builder.mul(k, WORD(8))
        index = self._integer(self._load(self.builder.add(items, at_k), 0))
        length = self._load(self.builder.add(shape, at_k), 0)
        negative = self.builder.icmp_signed("<", index, WORD(0))
        from_end = self.builder.add(index, length)
        index = self.builder.select(negative, from_end, index)
        # As unsigned numbers, negative ones are larger than any length.
        self._require(self.builder.icmp_unsigned("<", index, length))
        step = self.builder.mul(index, self._load(self.builder.add(strides, at_k), 0))
        k.add_incoming(self.builder.add(k, WORD(1)), self.builder.block)
        address.add_incoming(self.builder.add(address, step), self.builder.block)
        self.builder.branch(head)
        self.builder.position_at_end(done)
        return address

    def _indices(self) -> tuple[ir.Value, ir.Value]:
        """Return the address of the first index, and the number of indices."""
        argument = self.builder.add(self._arguments, WORD(8))
        index = self._load(argument, 0)
        kind = self._load(index, at.TYPE)
        one, several, found = (self._function.append_basic_block() for _ in range(3))
        self.builder.cbranch(self._is(kind, id(int)), one, several)
        self.builder.position_at_end(one)
        self.builder.branch(found)
        self.builder.position_at_end(several)
        self._require(self._is(kind, id(tuple)))
        length = self._load(index, at.TUPLE_LENGTH)
        inside = self.builder.add(index, WORD(at.TUPLE_ITEMS))
        several = self.builder.block
        self.builder.branch(found)
        self.builder.position_at_end(found)
        items, number = self.builder.phi(WORD), self.builder.phi(WORD)
        items.add_incoming(argument, one)
        items.add_incoming(inside, several)
        number.add_incoming(WORD(1), one)
        number.add_incoming(length, several)
        return items, number

    # -- values ------------------------------------------------------------------

    def _integer(self, obj: ir.Value) -> ir.Value:
        """Return the value of an int that fits into 64 bits."""
        self._require(self._is(self._load(obj, at.TYPE), id(int)))
        convert = self._python(
            "PyLong_AsLongLongAndOverflow", WORD, WORD, INT.as_pointer()
        )
        value = self.builder.call(convert, [obj, self._overflow])
        self._require(self._is(self.builder.load(self._overflow), 0))
        return value

    def _element_of(self, obj: ir.Value, dtype: np.dtype[Any]) -> ir.Value:
        """Return a number as an element, the same as NumPy would store."""
        if dtype.kind == "f":
            return self._real(obj, dtype)
        value = self._integer(obj)
        kind = scalar_type(dtype.kind, dtype.itemsize)
        if dtype.itemsize == 8:
            if dtype.kind == "u":
                self._require(self.builder.icmp_signed(">=", value, WORD(0)))
            return value
        short = self.builder.trunc(value, kind)
        widen = self.builder.sext if dtype.kind == "i" else self.builder.zext
        self._require(self.builder.icmp_signed("==", widen(short, WORD), value))
        return short

    def _real(self, obj: ir.Value, dtype: np.dtype[Any]) -> ir.Value:
        kind = self._load(obj, at.TYPE)
        real, whole, found = (self._function.append_basic_block() for _ in range(3))
        self.builder.cbranch(self._is(kind, id(float)), real, whole)
        self.builder.position_at_end(real)
        value = self._load(obj, at.FLOAT_VALUE, ir.DoubleType())
        self.builder.branch(found)
        self.builder.position_at_end(whole)
        integer = self._integer(obj)
        moved = self.builder.add(integer, WORD(_EXACT))
        self._require(self.builder.icmp_unsigned("<=", moved, WORD(2 * _EXACT)))
        converted = self.builder.sitofp(integer, ir.DoubleType())
        whole = self.builder.block
        self.builder.branch(found)
        self.builder.position_at_end(found)
        double = self.builder.phi(ir.DoubleType())
        double.add_incoming(value, real)
        double.add_incoming(converted, whole)
        if dtype.itemsize == 8:
            return double
        # NumPy warns of numbers that become infinite; NaN is no number.
        largest = ir.DoubleType()(float(np.finfo("f4").max))
        smallest = ir.DoubleType()(-float(np.finfo("f4").max))
        is_low = self.builder.fcmp_unordered("<=", double, largest)
        is_high = self.builder.fcmp_unordered(">=", double, smallest)
        self._require(self.builder.and_(is_low, is_high))
        return self.builder.fptrunc(double, ir.FloatType())

    # -- the operation -----------------------------------------------------------

    def _operate(
        self,
        dtype: np.dtype[Any],
        array: ir.Value,
        descr: ir.Value,
        address: ir.Value,
    ) -> None:
        rest = self.builder.and_(address, WORD(dtype.itemsize - 1))
        self._require(self._is(rest, 0))
        values = [
            self._element_of(self._load(self._arguments, 8 * (2 + n)), dtype)
            for n in range(self._operation.values)
        ]
        kind = scalar_type(dtype.kind, dtype.itemsize).as_pointer()
        pointer = self.builder.inttoptr(address, kind)
        operation = self._wanted.operation
        results = emit(self.builder, operation, dtype.kind, pointer, values)
        self.builder.ret(self._answer(results, array, descr))

    def _answer(
        self, results: Sequence[ir.Value], array: ir.Value, descr: ir.Value
    ) -> ir.Value:
        """Return a new reference to the result as an object."""
        if not results:
            return self._new_reference(WORD(id(None)))
        if self._wanted.as_int:
            convert = self._python("PyLong_FromLongLong", WORD, WORD)
            return self.builder.call(convert, [results[0]])
        cell = self.builder.bitcast(self._cell, results[0].type.as_pointer())
        self.builder.store(results[0], cell)
        make = self._at(at.scalar_function(), WORD, WORD, WORD, WORD)
        place = self.builder.ptrtoint(cell, WORD)
        old = self.builder.call(make, [place, descr, array])
        return old if len(results) == 1 else self._pair(old, results[1])

    def _pair(self, old: ir.Value, replaced: ir.Value) -> ir.Value:
        """Return the tuple of an object, whose reference it takes, and a bool."""
        made, failed = (self._function.append_basic_block() for _ in range(2))
        self.builder.cbranch(self._is(old, 0), failed, made)
        self.builder.position_at_end(failed)
        self.builder.ret(WORD(0))
        self.builder.position_at_end(made)
        answer = self.builder.select(replaced, WORD(id(True)), WORD(id(False)))
        pack = self._python("PyTuple_Pack", WORD, WORD, WORD, WORD, var_arg=1)
        pair = self.builder.call(pack, [WORD(2), old, answer])
        release = self._python("Py_DecRef", ir.VoidType(), WORD)
        self.builder.call(release, [old])
        return pair

    def _new_reference(self, obj: ir.Value) -> ir.Value:
        take = self._python("Py_IncRef", ir.VoidType(), WORD)
        self.builder.call(take, [obj])
        return obj

    # -- instructions ------------------------------------------------------------

    def _load(self, address: ir.Value, offset: int, kind: Any = WORD) -> ir.Value:
        place = self.builder.add(address, WORD(offset))
        return self.builder.load(self.builder.inttoptr(place, kind.as_pointer()))

    def _is(self, value: ir.Value, constant: int) -> ir.Value:
        return self.builder.icmp_signed("==", value, value.type(constant))

    def _python(
        self, name: str, result: Any, *arguments: Any, var_arg: int = 0
    ) -> ir.Value:
        """Return a function of Python; with `var_arg`, only so many are declared."""
        found = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
        declared = arguments[:var_arg] if var_arg else arguments
        return self._at(found or 0, result, *declared, var_arg=bool(var_arg))

    def _at(
        self, address: int, result: Any, *arguments: Any, var_arg: bool = False
    ) -> ir.Value:
        kind = ir.FunctionType(result, arguments, var_arg=var_arg)
        return self.builder.inttoptr(WORD(address), kind.as_pointer())
