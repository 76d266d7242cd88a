"""Addresses of objects with the buffer protocol: PyObject_GetBuffer."""

from __future__ import annotations

import ctypes
from typing import Any


class _Buffer(ctypes.Structure):
    """Py_buffer, which Python promises not to change: see its stable ABI."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("owner", ctypes.c_void_p),
        ("nbytes", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_SIMPLE = 0  # PyBUF_SIMPLE
_OF_BUFFER = ctypes.POINTER(_Buffer)
# Not attributes of `pythonapi`, whose types other libraries may set.
_get = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, _OF_BUFFER, ctypes.c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_release = ctypes.PYFUNCTYPE(None, _OF_BUFFER)(("PyBuffer_Release", ctypes.pythonapi))


def address_of(owner: Any) -> int:
    """Return the first address of a buffer, which may be read-only.

    Examples
    --------
    >>> address_of(b"bytes") == address_of(memoryview(b"bytes"))
    True
    """
    buffer = _Buffer()
    _get(owner, buffer, _SIMPLE)  # ctypes raises the error that it sets
    try:
        return int(buffer.address or 0)
    finally:
        _release(buffer)
