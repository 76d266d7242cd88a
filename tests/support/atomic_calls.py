"""Atomic operations that the tests call from Python and in kernels."""

from __future__ import annotations

import functools
from typing import Any

import numba

from sharray.kernels.numba import extension
from sharray.native import atomic

extension.register()


@functools.cache
def in_kernel(operation: str) -> Any:
    function = getattr(atomic, operation)
    if operation == "load":
        return numba.njit(lambda array, index: function(array, index))
    if operation == "compare_exchange":
        return numba.njit(lambda a, index, old, new: function(a, index, old, new))
    return numba.njit(lambda array, index, value: function(array, index, value))


def in_python(operation: str) -> Any:
    return getattr(atomic, operation)
