"""A process for each contender, apart from the hooks and threads of the others.

``python -m benchmarks.passing.driver NAME`` reads commands, a line of JSON each, and
answers each with the seconds of every call. It ends with its input.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from subprocess import PIPE
from typing import Any

import numpy as np

from ..harness.children import Process, child, stoppable
from ..harness.measuring import Contender, Sample, spread
from .contenders import OURS, PEERS, RETURNING, SHARED
from .way import Array, Call, Way

KEPT = 16  # results of a task "keep"
_KEPT_BYTES = 200_000_000  # larger arrays are made again for each sample

# The tasks that return new values, and which.
_RESULTS: dict[str, Callable[[Array], Array]] = {
    "change": lambda x: x + 1,
    "double": lambda x: x * 2,
    "full": lambda x: np.full(x.size, 1.5),
}


class Driver:
    """The process of a contender, as the benchmark sees it."""

    def __init__(self, name: str, process: Process) -> None:
        self._name = name
        self._process = process

    def wait_until_ready(self) -> None:
        """Wait until its workers have started and have returned what they got."""
        self._answer()

    def sample(self, task: str, nbytes: int, calls: int, warm: int = 0) -> Sample:
        """Sample the median of calls in a row, after warm-up calls."""
        command = {"task": task, "nbytes": nbytes, "calls": calls, "warm": warm}

        def sample() -> float:
            assert self._process.stdin is not None
            print(json.dumps(command), file=self._process.stdin, flush=True)
            return spread(self._answer()).median

        return sample

    def close(self) -> None:
        """End the process and its workers."""
        self._process.communicate()
        if self._process.returncode != 0:
            raise RuntimeError(f"the process for {self._name} has failed")

    def _answer(self) -> list[float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process for {self._name} has failed")
        found: list[float] = json.loads(line)
        return found


Running = dict[str, Driver | None]  # by their names


def contender(name: str, driver: Driver | None, *how: Any) -> Contender:
    """Return a contender that samples a task; `how` is that of `Driver.sample`."""
    return Contender(name, None if driver is None else driver.sample(*how))


@contextmanager
def drivers(names: Iterable[str]) -> Iterator[Running]:
    """Yield the processes by name, all ready; None for what is not installed."""
    with ExitStack() as stack:
        found: Running = {}
        for name in names:
            if importlib.util.find_spec(PEERS[name].module) is None:
                found[name] = None
                continue
            process = child("passing.driver", name, stdin=PIPE, stdout=PIPE)
            found[name] = Driver(name, stack.enter_context(process))
        started = [one for one in found.values() if one is not None]
        for driver in started:
            driver.wait_until_ready()
        yield found
        for driver in started:
            driver.close()


def main(name: str) -> None:
    """Execute the commands."""
    # The benchmark must not take output of libraries for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with PEERS[name].start() as way:
        _verify(name, way)
        print("[]", file=answers, flush=True)
        kept = np.empty(0)
        for line in sys.stdin:
            command = json.loads(line)
            n = command["nbytes"] // 8
            if kept.size != n:
                kept = np.empty(0)  # before there is another one
                kept = np.arange(n, dtype=float)
            taken = _measure(way, kept, **command)
            if command["nbytes"] > _KEPT_BYTES:
                kept = np.empty(0)
            print(json.dumps(taken), file=answers, flush=True)
        del kept


def _verify(name: str, way: Way) -> None:
    """Check that arrays come back unchanged, and by the right way."""
    for n in (125, 125_000):
        x = np.arange(n, dtype=float)
        if not way.run("give", x, functools.partial(np.array_equal, x)):
            raise RuntimeError(f"{name} gives back something else")
    for task, expected in _RESULTS.items():
        x = np.arange(200_000, dtype=float)
        if name in RETURNING:
            equal = functools.partial(np.array_equal, expected(x))
            if not way.run(task, x, equal):
                raise RuntimeError(f"{name} returns a wrong result of {task!r}")
    outbox = sys.modules.get("sharray.storage.messages.outbox")
    if bool(outbox and outbox._outgoing) is not (name in (OURS, SHARED)):
        raise RuntimeError(f"{name} is installed, or is not, contrary to its name")


def _measure(
    way: Way, x: Array, task: str, nbytes: int, calls: int, warm: int
) -> list[float]:
    """Return the seconds of each call after the warm-up calls."""
    with ExitStack() as stack:
        call: Call
        if task == "again":
            assert way.again is not None
            call = stack.enter_context(way.again(x))
        elif task == "keep":
            call = functools.partial(_keep, way, x)
        else:
            call = functools.partial(way.run, task, x, _drop)
        for _ in range(warm):
            call()
        taken = []
        for _ in range(calls):
            start = time.perf_counter()
            found = call()
            taken.append(time.perf_counter() - start)
            del found
        return taken


def _keep(way: Way, x: Array) -> list[Any]:
    """Return many new arrays as large as this one."""
    return [way.run("full", x, lambda found: found) for _ in range(KEPT)]


def _drop(found: Any) -> None:
    """Use a result by doing nothing with it."""


if __name__ == "__main__":
    with stoppable():
        main(*sys.argv[1:])
