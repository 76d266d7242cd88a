"""First messages: of a new pool, whose shared memory has no pages yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from ..harness.children import output_of
from ..harness.measuring import Contender, Effort, Sample, take_turns
from ..harness.tables import Table
from .contenders import ALWAYS, BY_HAND, MEMCPY, OURS, REUSED
from .driver import drivers
from .memory import size

_FULL_ONLY = (REUSED, "ray")
_WAYS = {
    "plain pickle": "plain",
    "sharray.install(), no array": "install",
    "sharray.install(), an array": "array",
}


def cold_tables(effort: Effort, full: bool) -> Iterator[Table]:
    """Measure first messages, and the processor time of a first task."""
    yield _first_message(effort, full)
    yield _first_task(effort)


def _first_message(effort: Effort, full: bool) -> Table:
    nbytes = effort.nbytes
    table = Table.measured(
        "first message",
        f"the first Pool.apply of a new pool with {size(nbytes)} and back, cold; its "
        "worker has passed smaller arrays",
        [
            Contender(name, _in_new_pool(name, nbytes))
            for name in [*ALWAYS, *(_FULL_ONLY if full else ())]
        ],
        max(1, effort.slow_rounds // 4),
        effort,
        seconds=30.0,
        warm_up=False,
    )
    table.demand(OURS, 1, times=BY_HAND)
    table.compare(
        f"pass {size(nbytes)} to a worker and back, the first message of a pool",
        OURS,
        group="first messages",
        floors=(MEMCPY,),
    )
    return table


def _in_new_pool(name: str, nbytes: int) -> Sample:
    def sample() -> float:
        with drivers([name]) as running:
            driver = running[name]
            assert driver is not None
            return driver.sample("give", nbytes, 1)()

    return sample


def _first_task(effort: Effort) -> Table:
    """Measure workers of somebody else's pool, which may need no NumPy."""
    rounds = max(1, effort.slow_rounds // 4)
    calls = {name: partial(_processor_time, how) for name, how in _WAYS.items()}
    found = take_turns(
        calls, min(rounds, effort.most), 8.0 * effort.pace, warm_up=False
    )
    plain, ours, _ = _WAYS
    table = Table(
        "first task",
        "processor time of a new worker under spawn, with its first task",
        {name: tuple(samples) for name, samples in found.items()},
        planned=rounds,
    )
    table.demand(ours, 1.1, times=plain)
    return table


def _processor_time(how: str) -> float:
    seconds: float = json.loads(output_of("passing.first_task_process", how))
    return seconds
