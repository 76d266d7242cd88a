"""The options of teams and of runs: what they can be."""

from __future__ import annotations

import operator
from typing import Any

from ..kernels.kernel import Kernel
from ..kernels.reducing import ITEMWISE
from ..system import clock, processes


def seconds_until(deadline: float | None) -> float:
    """For `threading.Lock.acquire`: -1 is forever."""
    return -1 if deadline is None else max(0.0, deadline - clock.monotonic())


def worker_count(workers: int | None, caller_works: bool) -> int:
    """How many worker processes a team has.

    Raises
    ------
    ValueError
        The number is none, or too small.
    """
    if workers is None:
        return max(processes.count_cores() - caller_works, 0 if caller_works else 1)
    least = 0 if caller_works else 1
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < least:
        raise ValueError(
            f"expected at least {least} as the number of workers, found {workers!r}"
        )
    return workers


def check_options(
    axis: int, schedule: str, chunk: int | None, reducer: str | Kernel | None
) -> tuple[Any, ...]:
    """The options of a run, as they are used.

    Raises
    ------
    ValueError, TypeError
        One of them is wrong.
    """
    axis = operator.index(axis)
    if schedule not in ("dynamic", "static"):
        raise ValueError(f"expected schedule='dynamic' or 'static', found {schedule!r}")
    if chunk is not None:
        try:
            size = operator.index(chunk)
        except TypeError:
            size = 0
        if size < 1:
            raise ValueError(f"expected a positive integer as chunk=, found {chunk!r}")
        chunk = size
    if not isinstance(reducer, Kernel) and reducer not in (None, *ITEMWISE):
        raise ValueError(
            f"expected reduce='sum', 'min', 'max' or a kernel of two values, found "
            f"{reducer!r}"
        )
    return axis, schedule, chunk, reducer
