"""`prange`: the loop of a kernel that a team splits."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

# The end of a part, if it is all of the range.
ALL = -1


def prange(start: int, stop: int | None = None, step: int = 1, /) -> range:
    """A `range` that a team of workers splits between them.

    A kernel with a loop over ``prange`` gets all arrays whole, so that it can look
    at neighbours, and each worker goes through a part of the range at a time. Called
    directly, such a kernel goes through all of it. ``numba.prange`` in a kernel is the
    same.

    There is one such loop in a kernel, at the top level of the function; a ``prange``
    within it is a `range`. Code outside of it runs once for each part, so it may
    compute and allocate, but not store to arguments.

    Parameters
    ----------
    start, stop, step : int
        As those of `range`. They may depend on the arguments of the kernel.

    Returns
    -------
    range
        All of it, or a part if a team runs the kernel.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def smooth(x, y):
    ...     for i in sh.prange(1, x.shape[0] - 1):
    ...         y[i] = (x[i - 1] + x[i] + x[i + 1]) / 3
    >>> x, y = sh.array([0.0, 3.0, 6.0, 0.0]), sh.zeros(4)
    >>> sh.run(smooth, x, y)
    >>> y.tolist()
    [0.0, 3.0, 3.0, 0.0]
    """
    return range(start) if stop is None else range(start, stop, step)


def may_use_prange(function: Callable[..., Any]) -> bool:
    """Return whether a function can get at a `prange`, by whatever name.

    It looks at what the function refers to, and at what these functions refer to. Only
    numba can tell whether there is a loop over it.

    Examples
    --------
    >>> loop = prange
    >>> may_use_prange(lambda n: [i for i in loop(n)]), may_use_prange(lambda n: n)
    (True, False)
    """
    seen: set[int] = set()
    ahead: list[Any] = [function]
    while ahead:
        value = ahead.pop()
        if is_prange(value):
            return True
        if id(value) not in seen:
            seen.add(id(value))
            ahead += _referred_to(value)
    return False


def is_prange(value: Any) -> bool:
    """Return whether a value is our `prange`, or numba's."""
    numba = sys.modules.get("numba")
    return value is prange or (numba is not None and value is numba.prange)


def _referred_to(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        yield from value
        return
    if isinstance(value, functools.partial):
        yield value.func
        return
    function = getattr(value, "py_func", value)  # of a kernel, or of numba's functions
    if not isinstance(function, FunctionType):
        return
    names = set(_names_in(function.__code__))
    for name in names & function.__globals__.keys():
        yield from _with_attributes(function.__globals__[name], names)
    for cell in function.__closure__ or ():
        try:
            yield from _with_attributes(cell.cell_contents, names)
        except ValueError:  # not assigned yet
            continue
    yield from function.__defaults__ or ()


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _with_attributes(value: Any, names: set[str], depth: int = 3) -> Iterator[Any]:
    """Yield a value, and what a function finds in it if it is a module."""
    yield value
    if isinstance(value, ModuleType) and depth:
        for name in names.intersection(dir(value)):  # some are only made when asked for
            yield from _with_attributes(getattr(value, name), names, depth - 1)
