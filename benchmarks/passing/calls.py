"""Passing: send an ordinary array to a worker, and get it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sharray.passing.options import CROSSOVER
from sharray.system import limits

from ..harness.measuring import FULL, Contender, Effort
from ..harness.scratch import Scratch
from ..harness.tables import Table
from .contenders import (
    ALWAYS,
    FULL_ONLY,
    LEAST_SHARED,
    MEMCPY,
    OURS,
    PLAIN,
    REUSED,
    SHARED,
)
from .driver import Driver, drivers
from .memory import memory_table, size
from .way import MOST

ARGUMENT = "argument"
BOTH = "argument and result"
_TASKS = {ARGUMENT: "take", BOTH: "give"}
_ALSO = {ARGUMENT: "", BOTH: " and back"}

_AS_FAST = 1 / 0.95  # "not slower", but for noise
SIZES = [
    *(1_000, 4_000, 16_000, 64_000, 250_000),
    *(1_000_000, 4_000_000, 16_000_000, 100_000_000),
]
# And the first of these for which there is memory.
LARGEST = [MOST >> halvings for halvings in range(4)]
_LIMITS = {1_000_000: 1 / 10, 100_000_000: 1 / 25}  # of what plain pickle takes
_MEMCPY_RATE = 0.7
_LARGE = 100_000_000
# In a row: fast calls are repeated, so that both processes stay awake.
_CALLS = 20
_BUDGET = 3.0  # seconds for each contender and size
_ROOM = 16  # available memory, as a multiple of the array: many hold a copy

_EMPTY = "an empty task"
_AGAIN = "sh.share, again"

_Running = dict[str, Driver | None]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure calls of a pool of one worker, in a process for each contender."""
    full = effort.nbytes >= FULL.nbytes
    names = [*ALWAYS, *FULL_ONLY] if full else [*ALWAYS]
    with drivers([*names, SHARED]) as running:
        peers = {name: running[name] for name in names}
        yield from _by_size(peers, effort, full)
        yield _read(peers, effort)
        yield _same_array(peers, effort)
        for what in _TASKS:
            yield _crossover(what, running, effort, full)
    yield memory_table(effort, full)


# -- over sizes --------------------------------------------------------------


def table_name(what: str, nbytes: int) -> str:
    """Return the name of the table of a size.

    Examples
    --------
    >>> table_name(ARGUMENT, 250_000)
    'argument, 250 kB'
    """
    return f"{what}, {size(nbytes)}"


def _by_size(peers: _Running, effort: Effort, full: bool) -> Iterator[Table]:
    for nbytes in [*SIZES, *_largest()] if full else (1_000_000,):
        for what in _TASKS:
            yield _of_size(what, nbytes, peers, effort)


def _largest() -> list[int]:
    available = limits.available_memory() or 0
    return [nbytes for nbytes in LARGEST if _ROOM * nbytes <= available][:1]


def _of_size(what: str, nbytes: int, peers: _Running, effort: Effort) -> Table:
    table = Table.measured(
        table_name(what, nbytes),
        f"Pool.apply with an {what} of {size(nbytes)}, in a warm pool",
        [
            one
            for one in _contenders(peers, _TASKS[what], nbytes)
            if what == ARGUMENT or one.name != MEMCPY
        ],
        _rounds(nbytes, effort),
        _BUDGET,
    )
    if nbytes in _LIMITS:
        table.demand(OURS, _LIMITS[nbytes], times=PLAIN)
    if nbytes == _LARGE and what == ARGUMENT:
        table.demand(OURS, 1 / _MEMCPY_RATE, times=MEMCPY)
    if nbytes in (1_000, 1_000_000, _LARGE, *LARGEST):
        floors = (MEMCPY,) if what == ARGUMENT else ()
        task = f"pass {size(nbytes)} to a worker{_ALSO[what]}"
        table.compare(task, OURS, group=f"passing {size(nbytes)}", floors=floors)
    return table


def _contenders(peers: _Running, task: str, nbytes: int) -> list[Contender]:
    most = max(1, min(_CALLS, 4_000_000 // nbytes))
    found = []
    for name, driver in peers.items():
        calls = most if name in ALWAYS else min(most, _CALLS // 4)
        how = task, nbytes, calls, min(calls - 1, 2)
        found.append(_contender(name, driver, *how))
    return found


def _contender(name: str, driver: Driver | None, *how: Any) -> Contender:
    return Contender(name, None if driver is None else driver.sample(*how))


def _rounds(nbytes: int, effort: Effort) -> int:
    if nbytes > _LARGE:
        return 3
    if nbytes == _LARGE:
        return max(2, effort.slow_rounds // 3)
    return max(2, effort.slow_rounds // (1 if nbytes in _LIMITS else 2))


# -- reading it, and sending it again ----------------------------------------


def _read(peers: _Running, effort: Effort) -> Table:
    """Measure with reading, which maps the pages of some contenders."""
    nbytes, rounds = effort.nbytes, max(2, effort.slow_rounds // 4)
    chosen = {name: peers[name] for name in peers if name != MEMCPY}
    table = Table.measured(
        "argument, read",
        f"Pool.apply with an argument of {size(nbytes)} that the worker sums up",
        _contenders(chosen, "read", nbytes),
        rounds,
    )
    table.demand(OURS, _AS_FAST, times=PLAIN)
    table.compare(
        f"pass {size(nbytes)} to a worker that sums it up", OURS, group="reading"
    )
    return table


def _same_array(peers: _Running, effort: Effort) -> Table:
    """Measure tasks that do not read the array.

    Without joblib, whose tasks are meant to be submitted many at once.
    """
    nbytes, calls = effort.nbytes, 100
    ours = peers[OURS]
    contenders = [
        _contender(_EMPTY, ours, "empty", nbytes, calls),
        _contender(_AGAIN, ours, "again", nbytes, calls),
    ]
    for name, driver in peers.items():
        if name in (OURS, MEMCPY, REUSED) or "joblib" in name:
            continue
        few = 1 if name == PLAIN else calls
        called = name + (", again" if few > 1 else "")
        contenders.append(_contender(called, driver, "again", nbytes, few))
    table = Table.measured(
        "same array",
        f"the same array of {size(nbytes)} in each of {calls} tasks, one after the "
        "other; time of a task",
        contenders,
        max(2, effort.slow_rounds // 3),
    )
    table.demand(_AGAIN, 1.05, times=_EMPTY)
    table.compare(
        f"pass the same {size(nbytes)} to a worker again",
        _AGAIN,
        group="again",
        floors=(_EMPTY,),
    )
    return table


# -- the threshold -----------------------------------------------------------


def _crossover(what: str, running: _Running, effort: Effort, full: bool) -> Table:
    """Measure where shared memory becomes faster: `CROSSOVER` of the library."""
    sizes = [LEAST_SHARED << power for power in (range(11) if full else (0, 6))]
    contenders = [
        _contender(_at(name, nbytes), running[name], _TASKS[what], nbytes, 10, 2)
        for nbytes in sizes
        for name in (PLAIN, SHARED)
    ]
    table = Table.measured(
        f"crossover, {what}",
        f"Pool.apply with an {what}: through the pipe or all through shared memory",
        contenders,
        max(2, effort.rounds // 5),
    )
    if CROSSOVER in sizes:
        table.demand(_at(SHARED, CROSSOVER), _AS_FAST, times=_at(PLAIN, CROSSOVER))
    return table


def _at(name: str, nbytes: int) -> str:
    return f"{name}, {_binary(nbytes)}"


def _binary(nbytes: int) -> str:
    return f"{nbytes >> 10} KiB"
