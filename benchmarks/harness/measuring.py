"""Measuring: contenders take turns, in rounds, in an order that is shuffled."""

from __future__ import annotations

import gc
import random
import statistics
import time
import timeit
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

Sample = Callable[[], float]
Samples = tuple[float, ...]

_SETTLING = 0.02  # seconds until all threads and workers sleep


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int  # of what takes microseconds
    slow_rounds: int  # of what takes a tenth of a second
    # That one sample of a fast operation lasts: less than a time slice, so that
    # on a busy machine most samples are not interrupted.
    seconds: float
    nbytes: int  # of a large array


FULL = Effort(rounds=400, slow_rounds=20, seconds=0.001, nbytes=100_000_000)
QUICK = Effort(rounds=3, slow_rounds=3, seconds=0.0005, nbytes=4_000_000)

# Seconds for each contender of a table. Whoever is so slow gets fewer samples.
BUDGET = 10.0
# In a sample of so many seconds, costs of the first call are a small part.
_VERY_SLOW = 8.0


class Contender(NamedTuple):
    """One way to do the task of a table."""

    name: str
    sample: Sample | None  # returns seconds; None if it is not installed


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
    contenders: Iterable[Contender], rounds: int, budget: float = BUDGET
) -> dict[str, Samples | None]:
    """Return the samples of each contender: one a round, None if not installed.

    The first round warms up and does not count, unless it takes very long. The order
    changes each round: a contender that always followed the same other one would find
    its traces in caches and in the allocator. A contender that has spent its `budget`
    of seconds is out; it has one sample at least.
    """
    contenders = list(contenders)
    order = [(one.name, one.sample) for one in contenders if one.sample is not None]
    samples: dict[str, list[float]] = {name: [] for name, _ in order}
    left = dict.fromkeys(samples, budget)
    shuffle = random.Random(0).shuffle
    for number in range(rounds + 1):
        shuffle(order)
        for name, sample in order:
            if left[name] <= 0:
                continue
            start = time.perf_counter()
            value = sample()
            if number > 0 or value > _VERY_SLOW:
                samples[name].append(value)
                left[name] -= time.perf_counter() - start
    return {
        one.name: None if one.sample is None else tuple(samples[one.name])
        for one in contenders
    }


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
