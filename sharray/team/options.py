"""Options of teams and of runs, and their checks."""

from __future__ import annotations

import itertools
import operator
from typing import Any, NamedTuple, SupportsIndex

from ..kernels.kernel import Kernel
from ..kernels.reductions import ITEMWISE
from ..kernels.seeding import check_seed
from ..system import clock, processes
from .schedule import Schedule

Reducer = str | Kernel | None

_numbers = itertools.count(1)  # of the teams of this process without a name


def seconds_until(deadline: float | None) -> float | None:
    """Return how long to wait at most; None for no limit."""
    return None if deadline is None else deadline - clock.monotonic()


def worker_count(workers: int | None, caller_works: bool) -> int:
    """Return how many worker processes a team has.

    Raises
    ------
    ValueError
        `workers` is not an integer, or too small.
    """
    if workers is None:
        return max(processes.count_cores() - caller_works, 0 if caller_works else 1)
    least = 0 if caller_works else 1
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < least:
        raise ValueError(
            f"expected workers= of at least {least}, got {workers!r}; leave it out to "
            "use all cores"
        )
    return workers


def team_name(name: str | None) -> str:
    """Return the name of a team; if it gets none, the next number of this process.

    Raises
    ------
    ValueError
        `name` is no text, or empty.
    """
    if name is None:
        return str(next(_numbers))
    if not isinstance(name, str) or not name.strip():
        raise ValueError(
            f"expected name= with a text that is not empty, got {name!r}; leave it out "
            "to number the team"
        )
    return name


class RunOptions(NamedTuple):
    """The options of a run, checked.

    Attributes
    ----------
    axis : int
        The axis along which arrays are split.
    schedule : Schedule
        The assignment of chunks to members.
    reducer : {'sum', 'min', 'max'}, Kernel, callable or None
        The operation that combines the values of the chunks.
    seed : int or None
        The seed of the random numbers.
    """

    axis: int
    schedule: Schedule
    reducer: Any
    seed: int | None = None


def check_options(
    axis: SupportsIndex | None,
    schedule: str,
    chunk: SupportsIndex | None,
    reduce: Any,
    seed: SupportsIndex | None = None,
    *,
    takes_functions: bool = False,
) -> RunOptions:
    """Check the options of `Team.run`, and return them.

    Parameters
    ----------
    axis, schedule, chunk, reduce : object
        The options.
    takes_functions : bool
        Whether any function can be the reduction.

    Raises
    ------
    ValueError, TypeError
        One of them is wrong.
    """
    axis = 0 if axis is None else operator.index(axis)
    found = Schedule.named(schedule, chunk)
    fits = isinstance(reduce, Kernel) or (takes_functions and callable(reduce))
    if not fits and reduce not in (None, *ITEMWISE):
        what = "function" if takes_functions else "kernel"
        raise ValueError(
            f"expected reduce='sum', 'min', 'max' or a {what} of two values, got "
            f"{reduce!r}"
        )
    return RunOptions(axis, found, reduce, None if seed is None else check_seed(seed))
