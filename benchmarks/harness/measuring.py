"""Measuring: contenders take turns, in rounds, in an order that is shuffled."""

from __future__ import annotations

import gc
import random
import statistics
import time
import timeit
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

Sample = Callable[[], float]
Samples = tuple[float, ...]
K = TypeVar("K")
T = TypeVar("T")

_SETTLING = 0.02  # seconds until all threads and workers sleep


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int  # of what takes microseconds
    slow_rounds: int  # of what takes a tenth of a second
    # That one sample of a fast operation lasts: less than a time slice, so that
    # on a busy machine most samples are not interrupted.
    seconds: float
    nbytes: int  # of a large array
    most: int = 1_000_000  # rounds of any table, whatever it plans
    pace: float = 1.0  # part of its planned seconds that a table gets


FULL = Effort(rounds=400, slow_rounds=20, seconds=0.001, nbytes=100_000_000)
QUICK = Effort(rounds=2, slow_rounds=1, seconds=0.0005, nbytes=4_000_000)

# For all contenders of a table together, unless the table plans another number.
SECONDS = 5.0


class Contender(NamedTuple):
    """One way to do the task of a table."""

    name: str
    sample: Sample | None  # returns seconds; None if it is not measured
    missing: str = "not installed"  # why there is no sample


@dataclass(frozen=True)
class Spread:
    """Median, quartiles and maximum of what was sampled."""

    low: float
    median: float
    high: float
    worst: float


def spread(samples: Iterable[float]) -> Spread:
    """Summarize samples.

    Examples
    --------
    >>> spread([5, 1, 4, 2, 3])
    Spread(low=2.0, median=3.0, high=4.0, worst=5)
    """
    values = sorted(samples)
    if len(values) == 1:
        values *= 2  # quantiles() wants two
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, median, high, values[-1])


def measure(
    contenders: Iterable[Contender],
    rounds: int,
    seconds: float = SECONDS,
    *,
    warm_up: bool = True,
) -> dict[str, Samples | None]:
    """Return the samples of each contender: one a round, None if not measured.

    See `take_turns`.
    """
    contenders = list(contenders)
    calls = {one.name: one.sample for one in contenders if one.sample is not None}
    samples = take_turns(calls, rounds, seconds, warm_up=warm_up)
    return {
        one.name: tuple(samples[one.name]) if one.name in samples else None
        for one in contenders
    }


def take_turns(
    calls: Mapping[K, Callable[[], T]],
    rounds: int,
    seconds: float,
    *,
    warm_up: bool = True,
) -> dict[K, list[T]]:
    """Return the results of each call: one a round, and one at least.

    The order changes each round: a contender that always followed the same other one
    would find its traces in caches and in the allocator.

    Parameters
    ----------
    calls : mapping
        The contenders, by their names.
    rounds : int
        Results of each contender, if there is time.
    seconds : float
        For all contenders together. Each gets an equal share. After it has spent its
        share, it is out of all later rounds, so that equal positions in two lists are
        results of the same round.
    warm_up : bool, default True
        Begin with a round that does not count. Without it, the results are cold.
    """
    results: dict[K, list[T]] = {name: [] for name in calls}
    left = dict.fromkeys(calls, seconds / max(len(calls), 1))
    order = list(calls.items())
    shuffle = random.Random(0).shuffle
    for number in range(-warm_up, max(rounds, 1)):
        shuffle(order)
        for name, call in order:
            if left[name] <= 0:
                continue
            start = time.perf_counter()
            found = call()
            if number >= 0:
                results[name].append(found)
                left[name] -= time.perf_counter() - start
    return results


def repeated(
    statement: str, seconds: float, *, unroll: int = 1, **names: object
) -> Sample:
    """Sample a fast statement: its mean time in a loop of about `seconds`.

    A statement and not a function, whose call costs as much as indexing does. With
    `unroll`, the loop repeats it so often that the loop itself does not count. `names`
    are those that the statement uses.
    """
    # timeit would switch the garbage collector off, but users have it on.
    names["_collect"] = gc.enable
    timer = timeit.Timer("; ".join([statement] * unroll), "_collect()", globals=names)
    number = 1
    # The best of three: the first execution may do what later ones need not.
    while (taken := min(timer.repeat(3, number))) < seconds / 4:
        number *= 2
    number = max(1, round(number * seconds / taken))
    return lambda: timer.timeit(number) / number / unroll


def settled(operation: Callable[[], object]) -> Sample:
    """Sample an operation on large arrays, after a pause.

    After a parallel loop of numba, its OpenMP threads keep all cores busy for some 5 ms
    while they look for work. The pause lets them, and the workers, fall asleep.
    """

    def sample() -> float:
        time.sleep(_SETTLING)
        start = time.perf_counter()
        operation()
        return time.perf_counter() - start

    return sample
