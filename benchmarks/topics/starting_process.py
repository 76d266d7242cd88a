"""A process in which nothing is warm: it starts workers and prints their times.

``python -m benchmarks.topics.starting_process HOW WORKERS KERNEL`` prints the seconds
until workers are ready and until there is a first result, and the processor time of all
processes, once they have ended. All of it counts from when everything is imported. HOW
``replaced`` prints the seconds until a killed worker of a team is replaced instead, and
``memory`` the bytes of each idle worker of a ``team`` or ``pool``, the last argument.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

from ..harness.children import stoppable
from ..passing.memory_process import memory_of_all
from .fifty_lines import move

_N = 4096

Marks = list[float]


def _team(workers: int, kernel: str) -> Marks:
    """Start a team of sharray; a kernel may be compiled before."""
    import sharray as sh

    moving, (*arrays, walls, dt) = sh.kernel(move), _arguments(sh)
    if kernel == "compiled":
        moving.compile(*arrays, walls, dt)
    marks = [time.perf_counter()]
    with sh.Team(workers) as team:
        marks.append(time.perf_counter())
        if kernel != "none":
            team.run(moving, *arrays, sh.whole(walls), dt)
        marks.append(time.perf_counter())
    return marks


def _pool(workers: int, kernel: str) -> Marks:
    """Start a pool of processes, each of which imports numba and compiles."""
    moving, arguments = numba.njit(move), _arguments(np)
    marks = [time.perf_counter()]
    call = (int,) if kernel == "none" else (moving, *arguments)
    with _executor(workers, *call) as futures:
        marks.append(time.perf_counter())
        for future in futures:
            future.result()
        marks.append(time.perf_counter())
    return marks


@contextmanager
def _executor(workers: int, *call: Any) -> Iterator[list[Future[Any]]]:
    """Make as many calls as there are workers; yield when all workers are ready."""
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(workers + 1)
    with ProcessPoolExecutor(workers, spawn, together.wait) as pool:
        futures = [pool.submit(*call) for _ in range(workers)]
        together.wait()
        yield futures


def _alone(workers: int, kernel: str) -> Marks:
    """Call the kernel in this process alone, with numba."""
    moving, arguments = numba.njit(move), _arguments(np)
    marks = [time.perf_counter()] * 2
    moving(*arguments)
    return [*marks, time.perf_counter()]


def _arguments(module: Any) -> tuple[Any, ...]:
    """Return the kernel's arguments; numpy or sharray makes the arrays."""
    place, speed, mass, charge = (module.ones(_N) for _ in range(4))
    hits, walls = module.zeros(_N, int), module.array([-2.0, 2.0])
    return place, speed, mass, charge, hits, walls, 0.01


def _processor_time() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _memory(workers: int, how: str) -> float:
    """Return the bytes that each idle worker takes."""
    import sharray as sh

    before = memory_of_all()
    with sh.Team(workers) if how == "team" else _executor(workers, int):
        return (memory_of_all() - before) / workers


# -- a worker that dies ------------------------------------------------------


def _replaced_on_team(workers: int) -> float:
    import sharray as sh

    kernel, x = sh.kernel(_nothing), sh.zeros(8 * workers)
    with sh.Team(workers, caller_works=False) as team:
        team.run(kernel, x, schedule="static")
        start = time.perf_counter()
        os.kill(team.pids()[0], signal.SIGKILL)
        while True:  # a run in which a worker is missed fails
            try:
                team.run(kernel, x, schedule="static")
                return time.perf_counter() - start
            except sh.WorkerDied:
                pass


def _nothing(x: Any) -> None:
    pass


_HOW: dict[str, Callable[[int, str], Marks]] = {
    "team": _team,
    "pool": _pool,
    "alone": _alone,
}


def main(how: str, workers: str, kernel: str) -> None:
    """Start the workers and print the times."""
    if how == "memory":
        print(json.dumps({"memory": _memory(int(workers), kernel)}))
        return
    if how == "replaced":
        print(json.dumps({"replaced": _replaced_on_team(int(workers))}))
        return
    if how == "team":
        import sharray.team.team  # noqa: F401  # as numba, not part of the start
    before = _processor_time()
    start, ready, first = _HOW[how](int(workers), kernel)
    found = {
        "ready": ready - start,
        "first": first - start,
        "cpu": _processor_time() - before,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    with stoppable():
        main(*sys.argv[1:])
