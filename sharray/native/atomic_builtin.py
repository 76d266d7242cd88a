"""Atomic operations as built-in functions of Python, made of machine code.

A call through ctypes takes microseconds, for its arguments and for checks in Python. A
built-in function takes a tenth of that: it checks arguments itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from ..system import interrupts
from . import array_layout
from .atomic_builtin_ir import Builtin, module_of
from .atomic_native import keep_compiled

_FASTCALL = 0x80  # METH_FASTCALL


class _Method(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


# Code refers to these for ever.
_kept: list[Any] = []


def make(
    operation: str, instead: Callable[..., Any], *, as_int: bool = False
) -> Callable[..., Any]:
    """Return a function that does the same as another one, only faster.

    Parameters
    ----------
    operation : str
        Name of a function of `sharray.native.atomic`.
    instead : callable
        The function in Python: of array, index and values. It gets all arguments that
        the built-in function does not handle. If there cannot be one, it is returned.
    as_int : bool
        Whether it returns Python's own integer, and not NumPy's.
    """
    if not array_layout.is_known():
        return instead
    name = f"{operation}_as_int" if as_int else operation
    with interrupts.deferred():  # see `sharray.native.machine_code.host`
        wanted = Builtin(operation, as_int, id(instead))
        address = keep_compiled(name, str(module_of(name, wanted)))
        method = _Method(name.encode(), address, _FASTCALL, None)
        _kept.append((instead, method))
        kind = ctypes.PYFUNCTYPE(ctypes.py_object, *[ctypes.c_void_p] * 3)
        new = kind(("PyCFunction_NewEx", ctypes.pythonapi))
        made: Callable[..., Any] = new(ctypes.addressof(method), None, None)
        return made
