"""The C library: functions that Python does not provide."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import NoReturn, cast


def c_function(
    name: str, *argtypes: object, restype: object = ctypes.c_int
) -> Callable[..., int] | None:
    """Return a function of the C library that releases the GIL while it runs.

    Return None if this C library does not have it.
    """
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = argtypes
    function.restype = restype
    return cast("Callable[..., int]", function)


def raise_errno() -> NoReturn:
    """Raise the OSError for the C function that has just failed."""
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))
