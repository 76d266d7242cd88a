"""The machine code of built-in functions that run atomic operations.

::

    arguments --> array? --> index in bounds? --> dtype? --> aligned? --> values fit?
                    |               |               |           |             |
                    +---------------+----- no ------+-----------+-------------+
                                           |                                  | yes
                                           v                                  v
                               the function in Python,              the operation, and
                               with the same arguments              the old value

The code handles what is common: integers as indices; and as values, Python's own
numbers, and those that the array returns. It has no errors of its own. For anything
else it calls the function in Python, which either runs the operation, or raises the
error.

Invariant: nothing is changed before all checks have passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from . import array_layout as at
from .atomic_ir import emit, scalar_type
from .atomic_operations import OPERATIONS
from .object_ir import INT, WORD, ObjectCode

BYTE = ir.IntType(8)
_DTYPES = tuple(np.dtype(char) for char in "bBhHiIlLqQfd")


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


class _Writer(ObjectCode):
    """Writes the code of one function."""

    def __init__(self, function: ir.Function, wanted: Builtin) -> None:
        super().__init__(function)
        self._wanted = wanted
        self._operation = OPERATIONS[wanted.operation]
        self._cell = self.builder.alloca(WORD)  # room for an element
        _, self._arguments, self._number = function.args

    def write(self) -> None:
        """Write the function."""
        wanted = 2 + self._operation.values
        self.require(self.equals(self._number, wanted))
        array = self.load(self._arguments, 0)
        self._check_array(array)
        address = self._element(array)
        descr = self.load(array, at.DESCR)
        order = self.load(descr, at.BYTE_ORDER, BYTE)
        is_own = self.builder.or_(
            self.equals(order, ord("=")), self.equals(order, ord("|"))
        )
        self.require(is_own)
        number = self.load(descr, at.TYPE_NUMBER, INT)
        choice = self.builder.switch(number, self.slow)
        for dtype in _DTYPES:
            if self._supports(dtype):
                block = self.function.append_basic_block(dtype.char)
                choice.add_case(INT(dtype.num), block)
                self.builder.position_at_end(block)
                self._operate(dtype, array, descr, address)
        self.builder.position_at_end(self.slow)
        call = self.python_function("PyObject_Vectorcall", WORD, *[WORD] * 4)
        instead = WORD(self._wanted.instead)
        arguments = instead, self._arguments, self._number, WORD(0)
        self.builder.ret(self.builder.call(call, arguments))

    def _supports(self, dtype: np.dtype[Any]) -> bool:
        if self._wanted.as_int and dtype.str != "<i8":
            return False
        return self._operation.takes(dtype.kind, dtype.itemsize)

    # -- checks ------------------------------------------------------------------

    def _check_array(self, array: ir.Value) -> None:
        kind = self.load(array, at.TYPE)
        plain = self.function.append_basic_block()
        other = self.function.append_basic_block()
        self.builder.cbranch(self.equals(kind, id(np.ndarray)), plain, other)
        self.builder.position_at_end(other)
        is_subtype = self.python_function("PyType_IsSubtype", INT, WORD, WORD)
        found = self.builder.call(is_subtype, [kind, WORD(id(np.ndarray))])
        self.builder.cbranch(self.equals(found, 0), self.slow, plain)
        self.builder.position_at_end(plain)
        if self._operation.writes:
            # An array that warns on its first write goes to Python, too.
            flags = self.load(array, at.FLAGS, INT)
            mask = INT(at.WRITEABLE | at.WARN_ON_WRITE)
            self.require(self.equals(self.builder.and_(flags, mask), at.WRITEABLE))

    def _element(self, array: ir.Value) -> ir.Value:
        """Return the address of the element, which is within the array."""
        items, number = self._indices()
        ndim = self.builder.sext(self.load(array, at.NDIM, INT), WORD)
        self.require(self.builder.icmp_signed("==", ndim, number))
        shape, strides = self.load(array, at.SHAPE), self.load(array, at.STRIDES)
        data = self.load(array, at.DATA)
        before = self.builder.block
        head, body, done = (self.function.append_basic_block() for _ in range(3))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        k, address = self.builder.phi(WORD), self.builder.phi(WORD)
        k.add_incoming(WORD(0), before)
        address.add_incoming(data, before)
        more = self.builder.icmp_signed("<", k, number)
        self.builder.cbranch(more, body, done)
        self.builder.position_at_end(body)
        at_k = self.builder.mul(k, WORD(8))
        index = self.index(self.load(self.builder.add(items, at_k), 0))
        length = self.load(self.builder.add(shape, at_k), 0)
        negative = self.builder.icmp_signed("<", index, WORD(0))
        from_end = self.builder.add(index, length)
        index = self.builder.select(negative, from_end, index)
        # As unsigned numbers, negative ones are larger than any length.
        self.require(self.builder.icmp_unsigned("<", index, length))
        step = self.builder.mul(index, self.load(self.builder.add(strides, at_k), 0))
        k.add_incoming(self.builder.add(k, WORD(1)), self.builder.block)
        address.add_incoming(self.builder.add(address, step), self.builder.block)
        self.builder.branch(head)
        self.builder.position_at_end(done)
        return address

    def _indices(self) -> tuple[ir.Value, ir.Value]:
        """Return the address of the first index, and the number of indices."""
        argument = self.builder.add(self._arguments, WORD(8))
        index = self.load(argument, 0)
        kind = self.load(index, at.TYPE)
        one, several, found = (self.function.append_basic_block() for _ in range(3))
        self.builder.cbranch(self.equals(kind, id(tuple)), several, one)
        self.builder.position_at_end(one)  # `_index` checks it
        self.builder.branch(found)
        self.builder.position_at_end(several)
        length = self.load(index, at.TUPLE_LENGTH)
        inside = self.builder.add(index, WORD(at.TUPLE_ITEMS))
        self.builder.branch(found)
        self.builder.position_at_end(found)
        items, number = self.builder.phi(WORD), self.builder.phi(WORD)
        items.add_incoming(argument, one)
        items.add_incoming(inside, several)
        number.add_incoming(WORD(1), one)
        number.add_incoming(length, several)
        return items, number

    # -- the operation -----------------------------------------------------------

    def _operate(
        self,
        dtype: np.dtype[Any],
        array: ir.Value,
        descr: ir.Value,
        address: ir.Value,
    ) -> None:
        rest = self.builder.and_(address, WORD(dtype.itemsize - 1))
        self.require(self.equals(rest, 0))
        values = [
            self.element_of(self.load(self._arguments, 8 * (2 + n)), dtype)
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
            convert = self.python_function("PyLong_FromLongLong", WORD, WORD)
            return self.builder.call(convert, [results[0]])
        cell = self.builder.bitcast(self._cell, results[0].type.as_pointer())
        self.builder.store(results[0], cell)
        make = self.function_at(at.scalar_function(), WORD, WORD, WORD, WORD)
        place = self.builder.ptrtoint(cell, WORD)
        old = self.builder.call(make, [place, descr, array])
        return old if len(results) == 1 else self._pair(old, results[1])

    def _pair(self, old: ir.Value, replaced: ir.Value) -> ir.Value:
        """Return the tuple of an object, whose reference it takes, and a bool."""
        made, failed = (self.function.append_basic_block() for _ in range(2))
        self.builder.cbranch(self.equals(old, 0), failed, made)
        self.builder.position_at_end(failed)
        self.builder.ret(WORD(0))
        self.builder.position_at_end(made)
        answer = self.builder.select(replaced, WORD(id(True)), WORD(id(False)))
        pack = self.python_function("PyTuple_Pack", WORD, WORD, WORD, WORD, var_arg=1)
        pair = self.builder.call(pack, [WORD(2), old, answer])
        release = self.python_function("Py_DecRef", ir.VoidType(), WORD)
        self.builder.call(release, [old])
        return pair

    def _new_reference(self, obj: ir.Value) -> ir.Value:
        take = self.python_function("Py_IncRef", ir.VoidType(), WORD)
        self.builder.call(take, [obj])
        return obj
