"""Measuring: contenders take turns, in rounds, in an order that is shuffled."""

from __future__ import annotations

import gc
import random
import statistics
import time
import timeit
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import NamedTuple

Sample = Callable[[], float]
Samples = tuple[float, ...]

_SETTLING = 0.02  # seconds until nobody looks for work any more


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
# Of so many seconds, what only the first time takes is a small part.
_VERY_SLOW = 8.0
NOT_INSTALLED = "not installed"


class Contender(NamedTuple):
    """What is measured.

    Attributes
    ----------
    name : str
        As tables show it.
    sample : callable or None
        Returns the seconds that it took; None if it is not measured.
    missing : str
        Why it is not.
    """

    name: str
    sample: Sample | None
    missing: str = NOT_INSTALLED


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
    """Sample every contender once a round; the first round warms up.

    Its samples do not count, unless they take very long.

    Parameters
    ----------
    contenders : iterable of Contender
        They take turns in another order each round, so that none always follows
        the same one, whose traces it would find in caches and in the allocator.
    rounds : int
        How many samples of each.
    budget : float, optional
        After so many seconds of samples, a contender is out; it has one at least.

    Returns
    -------
    dict
        The samples of each contender by name; None for one that is not measured.
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
    """A sample of a fast statement: the mean time in a loop of about `seconds`.

    Parameters
    ----------
    statement : str
        A statement and not a function, which would cost as much as indexing.
    seconds : float
        How long one sample takes.
    unroll : int, default 1
        How often to write the statement down in the loop, for those so fast
        that the loop itself would count.
    **names : object
        The names in the statement.
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


def once(
    operation: Callable[[], AbstractContextManager[object]],
    then: Callable[[object], object] | None = None,
) -> Sample:
    """A sample of a slow operation: one execution, without what cleans up.

    Parameters
    ----------
    operation : callable
        Entering what it returns is timed, leaving it is not.
    then : callable, optional
        What to do with the outcome, timed as well.
    """

    def sample() -> float:
        with ExitStack() as stack:
            start = time.perf_counter()
            outcome = stack.enter_context(operation())
            if then is not None:
                then(outcome)
            return time.perf_counter() - start

    return sample


def settled(operation: Callable[[], object]) -> Sample:
    """A sample of an operation on large arrays, after a pause.

    When numba's parallel loops are done, their OpenMP threads go on to look for
    work for some 5 ms, on all cores. Nobody is measured in that time, and everybody
    begins with threads or workers that sleep.
    """

    def sample() -> float:
        time.sleep(_SETTLING)
        start = time.perf_counter()
        operation()
        return time.perf_counter() - start

    return sample
