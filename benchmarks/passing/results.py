"""Results: workers that return an argument, or a new array, in a warm pool."""

from __future__ import annotations

from collections.abc import Iterator

from ..harness.measuring import Effort
from ..harness.tables import Table
from .contenders import MEMCPY, OURS, PLAIN, RETURNING, REUSED
from .driver import KEPT, Running, contender
from .memory import size

_MB = 1_000_000
_WARM = 1  # calls before each that counts, besides a round
_ALONE = "np.full in this process"
_KEPT_LIMIT = 0.12e-9  # seconds a byte
# The task, how a worker makes its result, for which sizes, and how many times longer
# than two blocks by hand it may take.
_TASKS = {
    "change": ("x += 1; return x", (100,), 1.1),
    "double": ("return x * 2", (16, 100), 1.25),
    "full": ("return np.full(n, 1.5)", (100,), 1.25),
}


def results_tables(running: Running, effort: Effort) -> Iterator[Table]:
    """Measure results of four kinds, and many that are kept."""
    for task, (words, sizes, limit) in _TASKS.items():
        for nbytes in sorted({min(one * _MB, effort.nbytes) for one in sizes}):
            yield _of_task(task, words, nbytes, limit, running, effort)
    yield _kept(running, effort)


def _of_task(
    task: str, words: str, nbytes: int, limit: float, running: Running, effort: Effort
) -> Table:
    table = Table.measured(
        f"{task}, {size(nbytes)}",
        f"Pool.apply with a function that ends with `{words}`, {size(nbytes)}, warm",
        [contender(name, running[name], task, nbytes, 1, _WARM) for name in RETURNING],
        max(effort.slow_rounds // 2, 1),
        effort,
        seconds=5.0,
    )
    table.demand(OURS, limit, times=REUSED)
    table.compare(f"{size(nbytes)} from a worker: `{words}`", OURS, group="results")
    return table


def _kept(running: Running, effort: Effort) -> Table:
    """Measure results whose memory cannot be used again, as the caller keeps them."""
    nbytes = effort.nbytes // 2
    chosen = {_ALONE: MEMCPY, PLAIN: PLAIN, OURS: OURS, "ray": "ray"}
    table = Table.measured(
        "results, kept",
        f"{KEPT} results of {size(nbytes)} from a worker, all kept, in a warm pool",
        [
            contender(name, running[driver], "keep", nbytes, 1)
            for name, driver in chosen.items()
            if driver in running
        ],
        max(2, effort.slow_rounds // 4),
        effort,
        seconds=12.0,
    )
    table.demand(OURS, _KEPT_LIMIT * KEPT * nbytes)
    if table.samples.get("ray"):
        table.demand(OURS, 1, times="ray")
    table.compare(
        f"keep {KEPT} results of {size(nbytes)}", OURS, group="kept", floors=(_ALONE,)
    )
    return table
