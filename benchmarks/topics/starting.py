"""Starting: start workers and get a first result, including compilation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from ..harness.children import output_of
from ..harness.measuring import FULL, Effort, Samples
from ..harness.scratch import Scratch
from ..harness.tables import Table

_READY = "Team(2), ready"
_FIRST = "Team(2), first"
_POOL_READY = "ProcessPoolExecutor(2), ready"
_POOL_FIRST = "ProcessPoolExecutor(2), first"
_ALONE = "in one process"
_BARE = ", start"
_REST = ", rest"

_Measured = dict[str, float]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure in new processes, one after the other, in which nothing is warm."""
    rounds = max(effort.slow_rounds // 6, 1)
    yield _starting(rounds)
    yield _compiling(rounds, 4 if effort.rounds >= FULL.rounds else 1)


def _starting(rounds: int) -> Table:
    team, pool = _fresh(rounds, ("team", 2, "compiled"), ("pool", 2, "source"))
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
    )
    table.demand(_READY, 1 / 5, times=_POOL_FIRST)
    table.demand(_FIRST, 1 / 5, times=_POOL_FIRST)
    table.compare(
        "start 2 workers and get a first result",
        _FIRST,
        group="starting",
        without=(_READY, _POOL_READY),
    )
    return table


def _compiling(rounds: int, workers: int) -> Table:
    """Measure the processor time of all processes together.

    The start of workers is also measured alone, and subtracted round by round.
    """
    alone, *others = _fresh(
        rounds,
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
        pairs = zip(all_of_it, start, strict=True)
        samples[name] = all_of_it
        samples[name + _BARE] = start
        samples[name + _REST] = tuple(one - other for one, other in pairs)
    table = Table(
        "compiling",
        "processor time of all processes until the first result of a kernel of 50 "
        "lines, including compilation; rest: without the start of the workers",
        samples,
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


def _fresh(rounds: int, *cases: tuple[str, int, str]) -> list[list[_Measured]]:
    """Return the figures of each case in each round; the cases take turns."""
    found = [[_in_new_process(case) for case in cases] for _ in range(rounds)]
    return [list(column) for column in zip(*found, strict=True)]


def _only(what: str, measured: list[_Measured]) -> Samples:
    return tuple(one[what] for one in measured)


def _in_new_process(case: tuple[str, int, str]) -> _Measured:
    # As for an installed package, bytecode is written once and used again.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    found: _Measured = json.loads(
        output_of("topics.starting_process", *map(str, case), env=environment)
    )
    return found
