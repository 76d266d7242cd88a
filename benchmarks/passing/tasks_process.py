"""A process that forks a pool, and measures many short tasks in turn.

``python -m benchmarks.passing.tasks_process SETTINGS`` prints the samples of each
contender as JSON. SETTINGS is JSON as well: nbytes, rounds and seconds.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

import sharray as sh

from ..harness.children import name_in_ram, stoppable
from ..harness.measuring import Contender, Sample, measure
from .memory_process import has_pandas

TASKS = 100
EMPTY = "empty tasks"
INHERITED = "slices of an array inherited by fork"
SLICES = "slices of a shared array"
ATTACHED = "SharedMemory, attached in each task"
FRAME = "a shared DataFrame"
_WORKERS = 2

_inherited: Any = None


def _nothing(_: Any) -> None:
    pass


def _sum(part: Any) -> float:
    return float(part.sum())


def _sum_inherited(part: slice) -> float:
    return float(_inherited[part].sum())


def _sum_attached(where: tuple[str, slice, int]) -> float:
    name, part, n = where
    block = SharedMemory(name)
    total = float(np.ndarray(n, buffer=block.buf)[part].sum())
    block.close()
    return total


def _look(frame: Any) -> float:
    return float(frame.iat[0, 0])


def main(settings: str) -> None:
    """Print the samples."""
    options = json.loads(settings)
    n, rounds, seconds = options["nbytes"] // 8, options["rounds"], options["seconds"]
    global _inherited
    _inherited = np.arange(n, dtype=float)
    block = SharedMemory(f"{name_in_ram()}-tasks", create=True, size=8 * n)
    try:
        np.ndarray(n, buffer=block.buf)[...] = _inherited
        with multiprocessing.get_context("fork").Pool(_WORKERS) as pool:
            contenders = _contenders(pool, block.name, n)
            print(json.dumps(measure(contenders, rounds, seconds)))
            pool.close()
            pool.join()
    finally:
        block.close()
        block.unlink()


def _contenders(pool: Any, block: str, n: int) -> list[Contender]:
    step = n // TASKS
    parts = [slice(i * step, (i + 1) * step) for i in range(TASKS)]
    shared = sh.array(_inherited)
    expected = [float(_inherited[part].sum()) for part in parts]

    def sampled(
        function: Callable[[Any], Any], arguments: Iterable[Any], expected: list[Any]
    ) -> Sample:
        arguments = list(arguments)

        def sample() -> float:
            start = time.perf_counter()
            found = pool.map(function, arguments, chunksize=1)
            taken = time.perf_counter() - start
            if found != expected:
                raise RuntimeError(f"{function.__name__} has read something else")
            return taken / TASKS

        return sample

    frame = None
    if has_pandas():
        pandas = importlib.import_module("pandas")
        table = sh.share(pandas.DataFrame(_inherited.reshape(-1, 10)))
        frame = sampled(_look, [table] * TASKS, [0.0] * TASKS)
    attached = [(block, part, n) for part in parts]
    return [
        Contender(EMPTY, sampled(_nothing, parts, [None] * TASKS)),
        Contender(INHERITED, sampled(_sum_inherited, parts, expected)),
        Contender(SLICES, sampled(_sum, [shared[one] for one in parts], expected)),
        Contender(ATTACHED, sampled(_sum_attached, attached, expected)),
        Contender(FRAME, frame),
    ]


if __name__ == "__main__":
    with stoppable():
        main(*sys.argv[1:])
