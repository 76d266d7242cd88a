"""The options of teams and of runs: what they can be."""

from __future__ import annotations

import operator
from typing import NamedTuple, SupportsIndex

from ..kernels.kernel import Kernel
from ..kernels.reductions import ITEMWISE
from ..system import clock, processes
from .schedule import Schedule

Reducer = str | Kernel | None


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
            f"expected at least {least} as the number of workers, got {workers!r}"
        )
    return workers


class RunOptions(NamedTuple):
    """The options of a run, checked.

    Attributes
    ----------
    axis : int
        The axis along which arrays are split.
    schedule : Schedule
        How the members share the chunks.
    reducer : {'sum', 'min', 'max'} or Kernel or None
        How the values of the chunks are combined.
    """

    axis: int
    schedule: Schedule
    reducer: Reducer


def check_options(
    axis: SupportsIndex, schedule: str, chunk: SupportsIndex | None, reduce: Reducer
) -> RunOptions:
    """Check the options of a run, as `Team.run` takes them.

    Raises
    ------
    ValueError, TypeError
        One of them is wrong.
    """
    axis = operator.index(axis)
    found = Schedule.named(schedule, chunk)
    if not isinstance(reduce, Kernel) and reduce not in (None, *ITEMWISE):
        raise ValueError(
            "expected reduce='sum', 'min', 'max' or a kernel of two values, got "
            f"{reduce!r}"
        )
    return RunOptions(axis, found, reduce)
