"""Passing: send an ordinary array to a worker, and get it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sharray.passing.options import CROSSOVER
from sharray.system import limits

from ..harness.measuring import FULL, Contender, Effort
from ..harness.quantities import in_words
from ..harness.scratch import Scratch
from ..harness.tables import Table
from .cold import cold_tables
from .contenders import (
    AGAIN,
    ALWAYS,
    FULL_ONLY,
    LEAST_SHARED,
    MEMCPY,
    OURS,
    PEERS,
    PLAIN,
    RETURNING,
    REUSED,
    SHARED,
)
from .driver import Running, contender, drivers
from .memory import memory_table, size
from .results import results_tables
from .tasks import task_tables
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
# Of what plain pickle takes.
_LIMITS = {
    1_000: 1 / 0.98,
    16_000: 1 / 0.98,
    1_000_000: 1 / 10,
    100_000_000: 1 / 25,
}
_HAND_LIMITS = {(BOTH, 1_000_000): 1.3}  # of what two blocks kept by hand take
_SLOW = 5.0  # times slower than sharray
_MEMCPY_RATE = 0.7
_LARGE = 100_000_000
# In a row: fast calls are repeated, so that both processes stay awake.
_CALLS = 20
_ROOM = 16  # available memory, as a multiple of the array: many hold a copy

_EMPTY = "an empty task"
_AGAIN = "sh.share, again"


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure calls of a pool of one worker, in a process for each contender."""
    full = effort.nbytes >= FULL.nbytes
    names = [*ALWAYS, *FULL_ONLY] if full else [*ALWAYS]
    with drivers({*names, *RETURNING, SHARED}) as running:
        peers = {name: running[name] for name in names}
        yield from _by_size(peers, effort, full)
        yield _read(peers, effort)
        yield from results_tables(running, effort)
        yield _same_array(peers, effort)
        for what in _TASKS:
            yield _crossover(what, running, effort, full)
    yield from cold_tables(effort, full)
    yield from task_tables(effort)
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


def _by_size(peers: Running, effort: Effort, full: bool) -> Iterator[Table]:
    for nbytes in SIZES if full else (1_000_000,):
        for what in _TASKS:
            yield (table := _of_size(what, nbytes, peers, effort))
    if full:
        for nbytes in _largest():
            chosen, slow = _as_fast(table, peers)
            for what in _TASKS:
                yield _of_size(what, nbytes, chosen, effort, slow)


def _as_fast(table: Table, peers: Running) -> tuple[Running, list[Contender]]:
    """Return the contenders worth a larger array, and the others with the reason.

    Those that are many times slower would take minutes.
    """
    behind = {name: table.ratio(name, OURS) for name in table.samples}
    slow = {
        name: f"left out: {in_words(found.median, 's')} at {size(_LARGE)}"
        for name, found in behind.items()
        if found is not None and found.median > _SLOW
    }
    chosen = {name: driver for name, driver in peers.items() if name not in slow}
    return chosen, [Contender(name, None, why) for name, why in slow.items()]


def _largest() -> list[int]:
    available = limits.available_memory() or 0
    return [nbytes for nbytes in LARGEST if _ROOM * nbytes <= available][:1]


def _of_size(
    what: str,
    nbytes: int,
    peers: Running,
    effort: Effort,
    slow: Iterable[Contender] = (),
) -> Table:
    table = Table.measured(
        table_name(what, nbytes),
        f"Pool.apply with an {what} of {size(nbytes)}, in a warm pool",
        sorted(
            (
                one
                for one in (*_contenders(peers, _TASKS[what], nbytes), *slow)
                if what == ARGUMENT or one.name != MEMCPY
            ),
            key=lambda one: list(PEERS).index(one.name),
        ),
        _rounds(nbytes, effort),
        effort,
        seconds=_seconds(nbytes),
    )
    if (what, nbytes) in _HAND_LIMITS:
        _demand(table, _HAND_LIMITS[what, nbytes], REUSED)
    if nbytes in _LIMITS:
        _demand(table, _LIMITS[nbytes], PLAIN)
    if nbytes == _LARGE and what == ARGUMENT:
        _demand(table, 1 / _MEMCPY_RATE, MEMCPY)
    if nbytes in (1_000, 1_000_000, _LARGE, *LARGEST):
        floors = (MEMCPY,) if what == ARGUMENT else ()
        task = f"pass {size(nbytes)} to a worker{_ALSO[what]}"
        table.compare(task, OURS, group=f"passing {size(nbytes)}", floors=floors)
    return table


def _demand(table: Table, limit: float, other: str) -> None:
    if other in table.samples:
        table.demand(OURS, limit, times=other)


def _contenders(peers: Running, task: str, nbytes: int) -> list[Contender]:
    """Warm all alike: by a whole round, and by calls right before those that count.

    Shared memory stays cold for the first two calls, and files and blocks that were not
    used for a while may be cold again.
    """
    most = max(1, min(_CALLS, 4_000_000 // nbytes))
    warm = 2 if most > 1 else 1
    found = []
    for name, driver in peers.items():
        calls = most if name in ALWAYS else min(most, max(1, _CALLS // 4))
        found.append(contender(name, driver, task, nbytes, calls, warm))
    return found


def _rounds(nbytes: int, effort: Effort) -> int:
    return max(2, effort.slow_rounds // (1 if nbytes < _LARGE else 2))


def _seconds(nbytes: int) -> float:
    """Return the time of a table: some rounds, also of what takes long."""
    if nbytes > _LARGE:
        return 25.0
    return 15.0 if nbytes == _LARGE else 2.5


# -- reading it, and sending it again ----------------------------------------


def _read(peers: Running, effort: Effort) -> Table:
    """Measure with reading, which maps the pages of some contenders."""
    nbytes, rounds = effort.nbytes, max(2, effort.slow_rounds // 2)
    chosen = {name: peers[name] for name in peers if name != MEMCPY}
    table = Table.measured(
        "argument, read",
        f"Pool.apply with an argument of {size(nbytes)} that the worker sums up",
        _contenders(chosen, "read", nbytes),
        rounds,
        effort,
        seconds=10.0,
    )
    table.demand(OURS, _AS_FAST, times=PLAIN)
    table.compare(
        f"pass {size(nbytes)} to a worker that sums it up", OURS, group="reading"
    )
    return table


def _same_array(peers: Running, effort: Effort) -> Table:
    """Measure tasks that do not read the array.

    Without joblib, whose tasks are meant to be submitted many at once.
    """
    nbytes, calls = effort.nbytes, 100
    ours = peers[OURS]
    contenders = [
        contender(_EMPTY, ours, "empty", nbytes, calls),
        contender(_AGAIN, ours, "again", nbytes, calls),
    ]
    for name in (PLAIN, *AGAIN):
        if name in peers:
            few = 1 if name == PLAIN else calls
            called = name + (", again" if few > 1 else "")
            contenders.append(contender(called, peers[name], "again", nbytes, few))
    table = Table.measured(
        "same array",
        f"the same array of {size(nbytes)} in each of {calls} tasks, one after the "
        "other; time of a task",
        contenders,
        max(2, effort.slow_rounds // 2),
        effort,
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


def _crossover(what: str, running: Running, effort: Effort, full: bool) -> Table:
    """Measure where shared memory becomes faster: `CROSSOVER` of the library."""
    sizes = [LEAST_SHARED << power for power in (range(11) if full else (0, 6))]
    contenders = [
        contender(_at(name, nbytes), running[name], _TASKS[what], nbytes, 10, 2)
        for nbytes in sizes
        for name in (PLAIN, SHARED)
    ]
    table = Table.measured(
        f"crossover, {what}",
        f"Pool.apply with an {what}: through the pipe or all through shared memory",
        contenders,
        max(2, effort.rounds // 5),
        effort,
        seconds=8.0,
    )
    if CROSSOVER in sizes:
        table.demand(_at(SHARED, CROSSOVER), _AS_FAST, times=_at(PLAIN, CROSSOVER))
    return table


def _at(name: str, nbytes: int) -> str:
    return f"{name}, {_binary(nbytes)}"


def _binary(nbytes: int) -> str:
    return f"{nbytes >> 10} KiB"
