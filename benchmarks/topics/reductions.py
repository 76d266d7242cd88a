"""Reductions: reduce many elements to few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np

import sharray as sh

from ..harness.measuring import Contender, Effort, settled
from ..harness.scratch import Scratch
from ..harness.tables import Table

_PARALLEL = "numba.njit(parallel=True)"
_TEAM = "a team on all cores"
_STATIC = "a team on all cores, static"
_SUM = "np.sum"
_BINCOUNT = "np.bincount"
_ADD_AT = "np.add.at"
_BINS = 256

_Calls = dict[str, Callable[[], Any]]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure three reductions, for which all contenders find the exact result."""
    n, size = effort.nbytes // 8, f"{effort.nbytes / 1e6:.0f} MB"
    with sh.Team() as team:
        sums = _table(
            "sum",
            f"sum of {size} of float64",
            _sums(team, n),
            3 * effort.slow_rounds,  # of a few milliseconds each
            effort,
        )
        sums.demand(_TEAM, 1 / 0.95, times=_PARALLEL)
        yield _compared(sums, f"sum of {size}")
        bins = _table(
            "histogram",
            f"histogram of {size} of uint8; each chunk or thread has its own bins",
            _histograms(team, effort.nbytes),
            effort.slow_rounds,
            effort,
        )
        bins.demand(_STATIC, 1 / 0.95, times=_PARALLEL)
        yield _compared(bins, f"histogram of {size}")
        added = _table(
            "scatter-add",
            f"add 1 to random elements of {n // 12 / 1e6:.1g} million, {n / 1e6:g} "
            "million times; each of numba's threads has its own copy",
            _scatters(team, n),
            effort.slow_rounds,
            effort,
        )
        added.demand(_TEAM, 1, times=_ADD_AT)
        yield _compared(added, f"add 1 at {n / 1e6:g} million random places")


def _table(name: str, title: str, calls: _Calls, rounds: int, effort: Effort) -> Table:
    return Table.measured(
        name,
        title,
        [Contender(name, settled(call)) for name, call in calls.items()],
        rounds,
        effort,
    )


def _compared(table: Table, task: str) -> Table:
    table.compare(task, _TEAM, group="reductions", without=(_STATIC,))
    return table


def _verify(calls: _Calls) -> _Calls:
    """Compile all contenders and check that they find the same."""
    expected = None
    for name, call in calls.items():
        found = np.array(call())
        expected = found if expected is None else expected
        if not np.array_equal(found, expected):
            raise RuntimeError(f"{name} computes something else")
    return calls


# -- sum ---------------------------------------------------------------------


def _sums(team: sh.Team, n: int) -> _Calls:
    # Small integers, so that their sum is exact in any order.
    x = sh.array(np.arange(n) % 7, float)
    plain = np.asarray(x)
    kernel, parallel = sh.kernel(fastmath=True)(_add_up), _parallel(_add_up)
    return _verify(
        {
            _SUM: lambda: np.sum(plain),
            _PARALLEL: lambda: parallel(plain),
            _TEAM: lambda: team.run(kernel, x, reduce="sum"),
        }
    )


def _add_up(x: Any) -> float:
    total = 0.0
    for i in numba.prange(x.shape[0]):
        total += x[i]
    return total


def _parallel(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = numba.njit(parallel=True, fastmath=True)(function)
    return compiled


# -- histogram ---------------------------------------------------------------


def _histograms(team: sh.Team, n: int) -> _Calls:
    generator = np.random.default_rng(0)
    x = sh.array(generator.integers(0, _BINS, n, np.uint8))
    plain = np.asarray(x)
    kernel, parallel = sh.kernel(_count), _parallel(_count_in_copies)
    threads = numba.get_num_threads()

    def by_team(schedule: str) -> Any:
        return team.run(kernel, x, _BINS, reduce="sum", schedule=schedule)

    return _verify(
        {
            _BINCOUNT: lambda: np.bincount(plain, minlength=_BINS),
            _PARALLEL: lambda: parallel(plain, _BINS, threads).sum(axis=0),
            _TEAM: lambda: by_team("dynamic"),
            _STATIC: lambda: by_team("static"),
        }
    )


def _count(x: Any, bins: int) -> Any:
    mine = np.zeros(bins, np.int64)
    for i in range(x.shape[0]):
        mine[x[i]] += 1
    return mine


def _count_in_copies(x: Any, bins: int, threads: int) -> Any:
    copies = np.zeros((threads, bins), np.int64)
    each = -(-x.shape[0] // threads)
    for thread in numba.prange(threads):
        mine = np.zeros(bins, np.int64)
        for value in x[np.int64(thread) * each : np.int64(thread + 1) * each]:
            mine[value] += 1
        copies[thread] = mine
    return copies  # which NumPy adds up; numba takes seconds to compile that


# -- scatter-add -------------------------------------------------------------


def _scatters(team: sh.Team, n: int) -> _Calls:
    places = n // 12
    where = sh.array(np.random.default_rng(0).integers(0, places, n))
    plain, counts = np.asarray(where), sh.zeros(places, int)
    kernel, parallel = sh.kernel(_add_one), _parallel(_count_in_copies)
    threads = numba.get_num_threads()

    def at() -> Any:
        counts[...] = 0
        np.add.at(np.asarray(counts), plain, 1)
        return counts

    def by_team() -> Any:
        counts[...] = 0
        team.run(kernel, where, sh.whole(counts))
        return counts

    return _verify(
        {
            _ADD_AT: at,
            _BINCOUNT: lambda: np.bincount(plain, minlength=places),
            _PARALLEL: lambda: parallel(plain, places, threads).sum(axis=0),
            _TEAM: by_team,
        }
    )


def _add_one(where: Any, counts: Any) -> None:
    for i in range(where.shape[0]):
        sh.atomic.add(counts, where[i], 1)
