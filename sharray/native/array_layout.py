"""The layout of arrays and other objects in memory, for machine code that reads them.

NumPy and CPython promise these offsets to programs in C. Interpreters with another
layout exist: without the GIL, for debugging, or a future one. So the offsets are
compared with the values of an array first.
"""

from __future__ import annotations

import ctypes
import sys
from importlib import import_module
from typing import Any

import numpy as np

_WORD = 8
TYPE = 8  # of PyObject, as all below
TUPLE_LENGTH = 16
TUPLE_ITEMS = tuple.__basicsize__
FLOAT_VALUE = 16
SCALAR_VALUE = 16  # of NumPy's numbers
# PyArrayObject_fields
DATA, NDIM, SHAPE, STRIDES, DESCR, FLAGS = 16, 24, 32, 40, 56, 64
WRITEABLE, WARN_ON_WRITE = 0x0400, 0x80000000
# PyArray_Descr
BYTE_ORDER, TYPE_NUMBER = 26, 28
_SCALAR = 60  # PyArray_Scalar in the table of NumPy's functions


def is_known() -> bool:
    """Return whether objects of this interpreter have the layout that is written here.

    Examples
    --------
    >>> is_known()
    True
    """
    is_locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    plain = object.__basicsize__ == 16 and ctypes.sizeof(ctypes.c_void_p) == _WORD
    return plain and is_locked and sys.byteorder == "little" and _has_layout()


def _has_layout() -> bool:
    array = np.zeros((3, 5, 7), "i4")[::-1, 1:, ::2]
    at, descr = id(array), id(array.dtype)
    array.flags.writeable = False
    flags = _read(at + FLAGS, ctypes.c_uint32)
    array.flags.writeable = True
    # In this order, as a wrong pointer must not be followed.
    return (
        _word(at + TYPE) == id(np.ndarray)
        and _word(at + DATA) == array.__array_interface__["data"][0]
        and _read(at + NDIM, ctypes.c_int32) == 3
        and _word(at + DESCR) == descr
        and flags & WRITEABLE == 0
        and _read(at + FLAGS, ctypes.c_uint32) == flags | WRITEABLE
        and _read(descr + BYTE_ORDER, ctypes.c_char) == b"="
        and _read(descr + TYPE_NUMBER, ctypes.c_int32) == array.dtype.num
        and _words(_word(at + SHAPE), 3) == array.shape
        and _words(_word(at + STRIDES), 3) == array.strides
        and _holds_items(("one", "two"))
        and _read(id(one := 2.5) + FLOAT_VALUE, ctypes.c_double) == one
        and all(map(_holds_value, "bBhHiIlLqQfd"))
    )


def _holds_value(char: str) -> bool:
    scalar = np.dtype(char).type(113)
    found = (ctypes.c_char * scalar.nbytes).from_address(id(scalar) + SCALAR_VALUE)
    return bool(found.raw == scalar.tobytes())


def _holds_items(pair: tuple[str, str]) -> bool:
    at = id(pair)
    items = id(pair[0]), id(pair[1])
    return _word(at + TUPLE_LENGTH) == 2 and _words(at + TUPLE_ITEMS, 2) == items


def _read(address: int, kind: Any) -> Any:
    return kind.from_address(address).value


def _word(address: int) -> int:
    return int(_read(address, ctypes.c_int64))


def _words(address: int, number: int) -> tuple[int, ...]:
    return tuple(_word(address + _WORD * i) for i in range(number))


def scalar_function() -> int:
    """Return the address of PyArray_Scalar, which makes a scalar of an element."""
    module: Any = import_module("numpy._core._multiarray_umath")
    kind = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    pointer = kind(("PyCapsule_GetPointer", ctypes.pythonapi))
    table: int = pointer(module._ARRAY_API, None)
    return _word(table + _WORD * _SCALAR)
