"""A process with many live arrays: it prints what one more costs, and ends.

``python -m benchmarks.topics.many_process LIVE`` prints seconds by operation as JSON,
and the clock when it begins to end.
"""

from __future__ import annotations

import json
import multiprocessing
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any

import sharray as sh

from ..harness.children import stoppable

# Operations on one of many arrays, in their order here.
ONE_MORE = ("make", "send", "drop", "create a name", "open", "unlink", "list")
BESIDE = ("handle", "message", "dispatch")
_MORE = 200  # arrays, besides those that live
_CALLS = 100


@sh.kernel
def _nothing(x: Any) -> None:
    pass


def _take(x: Any) -> None:
    pass


def main(live: str) -> None:
    """Make the live arrays, measure, and end with them."""
    # The workers start before, so that they hold none of the arrays.
    spawn = multiprocessing.get_context("spawn")
    with sh.Team(1) as team, spawn.Pool(1) as pool:
        arrays = [sh.zeros(10) for _ in range(int(live))]
        for array in arrays:
            pickle.loads(pickle.dumps(array))  # has a name from now on
        _one_more(len(arrays), 2)  # imports, and makes directories
        found = {
            **_one_more(len(arrays), _MORE),
            **_beside(arrays[0], team, pool),
        }
        pool.close()
        pool.join()
    print(json.dumps({**found, "ends": time.monotonic()}), flush=True)


def _one_more(live: int, more: int) -> dict[str, float]:
    """Return the seconds that each operation takes for one of some more arrays."""
    names = [f"shm://benchmark-{number}" for number in range(more)]
    arrays: list[Any] = []
    handles: list[bytes] = []
    steps: list[Callable[[], object]] = [
        lambda: arrays.extend([sh.zeros(10) for _ in names]),
        lambda: handles.extend([pickle.dumps(one) for one in arrays]),
        arrays.clear,
        lambda: arrays.extend([sh.create(name, 10) for name in names]),
        lambda: arrays.extend([sh.open(name) for name in names]),
        lambda: list(map(sh.unlink, names)),
    ]
    taken = []
    for number, step in enumerate(steps):
        if number == 4:
            arrays.clear()  # opens files, rather than finds arrays
        start = time.perf_counter()
        step()
        taken.append((time.perf_counter() - start) / more)
        if number == 1:  # of handles that nobody opens, sharray warns
            for handle in handles:
                pickle.loads(handle)
    arrays.clear()
    start = time.perf_counter()
    listed = len(sh.list())
    taken.append((time.perf_counter() - start) / max(listed, 1))
    if listed < live:
        raise RuntimeError(f"sharray lists {listed} of {live} arrays")
    return dict(zip(ONE_MORE, taken, strict=True))


def _beside(array: Any, team: sh.Team, pool: Any) -> dict[str, float]:
    """Return the seconds of operations that are about one array."""
    x = sh.zeros(16)
    calls: list[Callable[[], object]] = [
        lambda: pickle.loads(pickle.dumps(array)),
        lambda: pool.apply(_take, (array,)),
        lambda: team.run(_nothing, x, schedule="static"),
    ]
    return {name: _median(call) for name, call in zip(BESIDE, calls, strict=True)}


def _median(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(_CALLS + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return sorted(taken[1:])[_CALLS // 2]


if __name__ == "__main__":
    with stoppable():
        main(*sys.argv[1:])
