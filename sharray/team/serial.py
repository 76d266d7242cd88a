"""Runs in this process, in plain Python, while numba is switched off.

Debuggers and coverage tools can then follow kernels. The chunks are those of a team; a
loop over `prange` goes through its whole range. So with a seed, kernels without such a
loop draw the same random numbers as compiled ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.argument_keys import WHOLE
from ..kernels.kernel import Kernel
from ..kernels.reductions import combine, kept
from ..kernels.seeding import seeded
from ..native import parts
from .arguments import Arguments, check_value
from .options import RunOptions
from .schedule import SINGLE


def run_here(
    kernel: Kernel,
    found: Arguments,
    options: RunOptions,
    members: int,
) -> Any:
    """Run a kernel chunk by chunk, and return its combined value."""
    schedule, reducer, seed = options.schedule, options.reducer, options.seed
    function = kernel.py_func
    values = [
        value.view(np.ndarray) if isinstance(value, np.ndarray) else value
        for value in found.values
    ]
    length = found.length
    is_split = length is not None or kernel.may_split
    chunking = SINGLE
    if length is not None:
        chunking = schedule.fixed(length)
        if schedule.is_static and seed is None:
            chunking = schedule.split(length, members, found.split_arrays)
    outcome = None
    for number in range(chunking.chunks):
        begin, end = chunking.bounds(number)
        part = [
            _cut(value, axis, begin, end)
            for value, axis in zip(values, found.axes, strict=True)
        ]
        with seeded(seed, begin):
            value = _call(function, part, members, begin)
        check_value(kernel, value is not None, is_split, reducer)
        plain = reducer.py_func if isinstance(reducer, Kernel) else reducer
        if number == 0:
            outcome = kept(None if kernel.may_split else plain, value)
        elif plain is not None:
            outcome = kept(None, combine(plain, outcome, value))
    return outcome


def _call(function: Any, part: list[Any], members: int, begin: int) -> Any:
    here = parts.words_here()
    before = tuple(here)
    try:
        here[0], here[1], here[2] = 0, members, begin
        return function(*part)
    finally:
        here[0], here[1], here[2] = before


def _cut(value: Any, axis: int, begin: int, end: int) -> Any:
    return (
        value if axis == WHOLE else value[(slice(None),) * axis + (slice(begin, end),)]
    )
