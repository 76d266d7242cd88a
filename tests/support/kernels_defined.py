"""Kernels that the tests send to other processes, and functions that run them."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

import sharray as sh


class RefusedError(ValueError):
    """An error of kernels whose arguments differ from those of its constructor."""

    def __init__(self, number: float) -> None:
        super().__init__("refused", number)
        self.number = number

    def __reduce__(self) -> Any:
        return type(self), (self.number,), vars(self)


def fail_assertion(x):
    assert x < 0, "x is positive"  # pytest rewrites the assertions of tests
    return x


@sh.kernel
def scale(x, factor=2.0):
    for i in range(x.shape[0]):
        x[i] *= factor


@sh.kernel
def total(x):
    found = 0.0
    for i in range(x.shape[0]):
        found += x[i]
    return found


@sh.kernel
def first(x):
    return x[0]


@sh.kernel
def length(x):
    return len(x)


@sh.kernel
def refuse(x, limit):
    for i in range(x.shape[0]):
        if x[i] > 1000.0:
            raise RefusedError(1000.0)
        if x[i] > limit:
            raise RefusedError(x[i])
    return x.shape[0]


@sh.kernel
def temporaries(n):
    a = np.zeros(n)
    a[:] = 3.0
    numbers = [1.0, 2.0]
    numbers.append(float(n))
    table = {1: 2.0}
    table[3] = 4.0
    return a.sum() + sum(numbers) + table[3] + np.sort(np.array([3.0, 1.0, 2.0]))[0]


def adder(amount: float) -> sh.Kernel:
    """Return a kernel with a closure; all of them have the same name."""

    @sh.kernel
    def add(x):
        return x + amount

    return add


def call(function: Any, *arguments: Any, **keywords: Any) -> tuple[Any, bool, int]:
    """Return a kernel's value, whether numba is loaded, and the process."""
    result = function(*arguments, **keywords)
    return result, "numba.core" in sys.modules, os.getpid()


def call_counting(function: Any, *arguments: Any) -> tuple[Any, int]:
    """Return a kernel's value, and how often numba compiled for it."""
    from numba.core import event

    with event.install_recorder("numba:compile") as record:
        result = function(*arguments)
    return result, len(record.buffer)


def catch(function: Any, *arguments: Any) -> BaseException:
    """Return the error that a kernel raises."""
    try:
        function(*arguments)
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


def count_loads(function: Any, *arguments: Any) -> tuple[Any, int]:
    """Return a kernel's value, and how often this process has loaded machine code."""
    from sharray.kernels import compiled

    if not hasattr(compiled.load, "times"):
        load = compiled.load

        def counted(code: Any) -> Any:
            counted.times += 1
            return load(code)

        counted.times = 0
        compiled.load = counted
    return function(*arguments), compiled.load.times


def both(one: Any, other: Any, x: Any) -> tuple[Any, Any]:
    """Return the values of two kernels that are called in turn, twice."""
    found = one(x), other(x)
    assert found == (one(x), other(x))
    return found


def mix_allocations(kernel: Any) -> list[Any]:
    """Make machine code and numba allocate and free memory in turn."""
    found = [kernel(3) for _ in range(20)]
    import numba

    @numba.njit
    def allocate(n):
        return np.arange(n), [1, 2, n]

    kept = []
    for n in range(20):
        kept.append(allocate(n))
        found.append(kernel(3))
        kept = kept[-3:]
    return found
