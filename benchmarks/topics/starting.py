"""Starting: start workers and get a first result, including compilation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial

from ..harness.children import output_of
from ..harness.measuring import FULL, Effort, Samples, take_turns
from ..harness.scratch import Scratch
from ..harness.tables import Table

_READY = "Team(2), ready"
_FIRST = "Team(2), first"
_POOL_READY = "ProcessPoolExecutor(2), ready"
_POOL_FIRST = "ProcessPoolExecutor(2), first"
_ALONE = "in one process"
_IDLE = 4  # workers
_MANY, _FEW = (2, 16, 48), (1, 2, 3)
_TEAM = "Team(2)"
_EXECUTOR = "ProcessPoolExecutor(2), a new one"
_BARE = ", start"
_REST = ", rest"

_Measured = dict[str, float]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure in new processes, one after the other, in which nothing is warm."""
    full = effort.rounds >= FULL.rounds
    yield _starting(effort)
    yield _many_workers(effort, _MANY if full else _FEW)
    yield _replacing(effort)
    yield _memory(effort)
    yield _compiling(effort, 4 if full else 1)


def _starting(effort: Effort) -> Table:
    team, pool = _fresh(effort, 12.0, ("team", 2, "compiled"), ("pool", 2, "source"))
    table = Table(
        "starting",
        "time until 2 workers are ready, and until they return a first result of a "
        "kernel of 50 lines; each process of the pool compiles it",
        {
            _READY: _only("ready", team),
            _FIRST: _only("first", team),
            _POOL_READY: _only("ready", pool),
            _POOL_FIRST: _only("first", pool),
        },
        planned=_planned(effort),
    )
    table.demand(_READY, 0.15, times=_POOL_FIRST)
    table.demand(_FIRST, 1 / 5, times=_POOL_FIRST)
    table.compare(
        "start 2 workers and get a first result",
        _FIRST,
        group="starting",
        without=(_READY, _POOL_READY),
    )
    return table


def _many_workers(effort: Effort, sizes: tuple[int, ...]) -> Table:
    found = _fresh(effort, 25.0, *(("team", size, "none") for size in sizes))
    table = Table(
        "starting many",
        "time until all workers of a team are ready, by their number",
        {
            f"Team({size})": _only("ready", one)
            for size, one in zip(sizes, found, strict=True)
        },
        planned=_planned(effort),
    )
    table.demand(f"Team({sizes[-1]})", 1.5)
    return table


def _replacing(effort: Effort) -> Table:
    team, pool = _fresh(effort, 10.0, ("replaced", 2, "none"), ("pool", 2, "none"))
    table = Table(
        "replacing",
        "time from the death of a worker until both workers have done a task; the "
        "executor is broken then, and another one starts",
        {_TEAM: _only("replaced", team), _EXECUTOR: _only("first", pool)},
        planned=_planned(effort),
    )
    table.demand(_TEAM, 0.1)
    table.compare("replace a worker that was killed", _TEAM, group="replacing")
    return table


def _memory(effort: Effort) -> Table:
    ways = {f"Team({_IDLE})": "team", f"ProcessPoolExecutor({_IDLE})": "pool"}
    found = _fresh(effort, 6.0, *(("memory", _IDLE, how) for how in ways.values()))
    table = Table(
        "memory of idle workers",
        "memory that each worker takes before its first task, with numba in those of "
        "the executor",
        {name: _only("memory", one) for name, one in zip(ways, found, strict=True)},
        "B",
        planned=_planned(effort),
    )
    ours, peer = ways
    table.demand(ours, 0.5, times=peer)
    table.compare("memory of an idle worker", ours, group="idle workers")
    return table


def _compiling(effort: Effort, workers: int) -> Table:
    """Measure the processor time of all processes together.

    The start of workers is also measured alone, and subtracted round by round.
    """
    alone, *others = _fresh(
        effort,
        25.0,
        ("alone", 0, "source"),
        ("team", workers, "source"),
        ("team", workers, "none"),
        ("pool", workers, "source"),
        ("pool", workers, "none"),
    )
    whole, bare, pool, bare_pool = (_only("cpu", one) for one in others)
    samples: dict[str, Samples | None] = {_ALONE: _only("cpu", alone)}
    for name, all_of_it, start in (
        (team := f"Team({workers})", whole, bare),
        (f"ProcessPoolExecutor({workers})", pool, bare_pool),
    ):
        pairs = zip(all_of_it, start, strict=False)
        samples[name] = all_of_it
        samples[name + _BARE] = start
        samples[name + _REST] = tuple(one - other for one, other in pairs)
    table = Table(
        "compiling",
        "processor time of all processes until the first result of a kernel of 50 "
        "lines, including compilation; rest: without the start of the workers",
        samples,
        planned=_planned(effort),
    )
    table.demand(team + _REST, 1.3, times=_ALONE)
    table.compare(
        f"compile a kernel for {workers} workers, processor time",
        team,
        group="starting",
        floors=(_ALONE,),
        without=tuple(name for name in samples if name.endswith((_BARE, _REST))),
    )
    return table


def _planned(effort: Effort) -> int:
    return max(effort.slow_rounds // 4, 1)


def _fresh(
    effort: Effort, seconds: float, *cases: tuple[str, int, str]
) -> list[list[_Measured]]:
    """Return the figures of each case in each round; the cases take turns."""
    calls = {str(case): partial(_in_new_process, case) for case in cases}
    rounds = min(_planned(effort), effort.most)
    found = take_turns(calls, rounds, seconds * effort.pace, warm_up=False)
    return list(found.values())


def _only(what: str, measured: list[_Measured]) -> Samples:
    return tuple(one[what] for one in measured)


def _in_new_process(case: tuple[str, int, str]) -> _Measured:
    # As for an installed package, bytecode is written once and used again.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    found: _Measured = json.loads(
        output_of("topics.starting_process", *map(str, case), env=environment)
    )
    return found
