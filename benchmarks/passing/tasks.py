"""Many short tasks about parts of what is shared, in a pool that was forked."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..harness.children import output_of
from ..harness.measuring import Effort, Samples
from ..harness.tables import Table
from .memory import size
from .tasks_process import EMPTY, FRAME, INHERITED, SLICES, TASKS

_SECONDS = 8.0


def task_tables(effort: Effort) -> Iterator[Table]:
    """Measure slices of an array, and handles of a DataFrame."""
    rounds = effort.slow_rounds
    settings = {
        "nbytes": effort.nbytes,
        "rounds": min(rounds, effort.most),
        "seconds": _SECONDS * effort.pace,
    }
    printed = output_of("passing.tasks_process", json.dumps(settings))
    found: dict[str, Samples | None] = {
        name: None if samples is None else tuple(samples)
        for name, samples in json.loads(printed).items()
    }
    part = size(effort.nbytes // TASKS)
    slices = Table(
        "slices",
        f"Pool.map of {TASKS} tasks, each of which sums {part} of one array; time of "
        "a task",
        {name: one for name, one in found.items() if name != FRAME},
        planned=rounds,
    )
    slices.demand(SLICES, 1.1, times=INHERITED)
    slices.compare(
        f"sum {part} of a shared array in each of {TASKS} tasks",
        SLICES,
        group="again",
        floors=(EMPTY,),
    )
    yield slices
    frames = Table(
        "handles of a DataFrame",
        f"Pool.map of {TASKS} tasks that get the same DataFrame of "
        f"{size(effort.nbytes)}; time of a task",
        {name: found[name] for name in (EMPTY, INHERITED, FRAME)},
        planned=rounds,
    )
    if found[FRAME] is not None:
        frames.demand(FRAME, 1.15, times=EMPTY)
    yield frames
