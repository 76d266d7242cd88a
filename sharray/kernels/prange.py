"""`prange`: the loop of a kernel that a team splits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import NamedTuple

# The end of a part: all of the range; or only count, and leave the kernel.
ALL = -1
COUNT = -2
# Status of a kernel that was left so; none of numba's own.
COUNTED = -77

_state = threading.local()


class _Part(NamedTuple):
    code: CodeType
    begin: int
    end: int


class Counted(BaseException):
    """Ends a kernel that was only asked how long its `prange` is."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length


def prange(start: int, stop: int | None = None, step: int = 1, /) -> range:
    """A `range` that a team of workers splits between them.

    A kernel with a loop over ``prange`` gets all arrays whole, so that it can look
    at neighbours, and each worker goes through a part of the range at a time. Called
    directly, such a kernel goes through all of it. There can be one such loop in a
    kernel; what stands outside of it runs once for each part.

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
    whole = range(start) if stop is None else range(start, stop, step)
    part = getattr(_state, "part", None)
    # A kernel that is called by the one that runs goes through all of its range.
    if part is None or sys._getframe(1).f_code is not part.code:
        return whole
    if part.end == COUNT:
        raise Counted(len(whole))
    return whole[part.begin : part.end]


@contextmanager
def limited_to(code: CodeType, begin: int, end: int) -> Iterator[None]:
    """Have a kernel that runs as plain Python go through a part only.

    With `COUNT` as the end it raises `Counted` instead.
    """
    _state.part = None if end == ALL else _Part(code, begin, end)
    try:
        yield
    finally:
        _state.part = None
