"""Atomics: count in two processes at once, without losing counts."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numba

import sharray as sh
from sharray.kernels.numba import extension
from sharray.native import atomic
from sharray.sync.barrier import Barrier
from sharray.sync.counter import Counter

from ..harness.measuring import Contender, Effort, Sample, repeated
from ..harness.scratch import Scratch
from ..harness.tables import Table

_OURS = "atomic.add"
_FROM_PYTHON = "atomic.add from Python"
_LOSING = "load, then store"
_PEER = "multiprocessing.Value"
_TOGETHER = ", two processes"
_ROUNDS = 5
_ATOMIC = "sh.atomic.add"
_COUNTER = "Counter.add"
_LOCKED = "multiprocessing.Value, with its lock"

_value: Any = None  # the peer, which processes can only get when they start


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure one process alone and two at once, and check their counts."""
    n = effort.nbytes // 10
    context = multiprocessing.get_context("spawn")
    value = context.Value("q", 0)
    lost: list[float] = []
    with ProcessPoolExecutor(
        2, mp_context=context, initializer=_start, initargs=(value,)
    ) as pool:
        table = Table.measured(
            "atomics",
            "",
            _contenders(pool, n, lost),
            min(effort.rounds, _ROUNDS),
            effort,
            seconds=10.0,
        )
    table.title = (
        f"add 1 to an element {n / 1e6:g} million times in each process; without "
        f"atomics, two processes lost {max(lost):.0%} of their counts"
    )
    table.demand(_OURS + _TOGETHER, 0.2, times=_PEER + _TOGETHER)
    table.demand(_FROM_PYTHON, 10, times=_PEER)
    table.compare(
        "add 1 to the same element from two processes",
        _OURS + _TOGETHER,
        group="atomics",
        # Some of the others lose counts, and some run alone.
        without=tuple(set(table.samples) - {_PEER + _TOGETHER}),
    )
    yield table
    yield _from_python(context, effort)


def _from_python(context: Any, effort: Effort) -> Table:
    """Measure calls in this process alone, with all their checks."""
    element, counter, value = sh.zeros(8, "i8"), Counter(), context.Value("q", 0)
    statements = {
        _ATOMIC: "add(element, 0, 1)",
        _COUNTER: "counter.add(1)",
        _LOCKED: "with lock: value.value += 1",
    }
    names = {
        "add": sh.atomic.add,
        "element": element,
        "counter": counter,
        "value": value,
        "lock": value.get_lock(),
    }
    table = Table.measured(
        "atomics from Python",
        "add 1 to an integer, called from Python in one process",
        [
            Contender(name, repeated(statement, effort.seconds, **names))
            for name, statement in statements.items()
        ],
        max(effort.rounds // 4, 1),
        effort,
    )
    for name, limit in ((_ATOMIC, 0.6e-6), (_COUNTER, 0.3e-6)):
        table.demand(name, limit)
        table.demand(name, 1, times=_LOCKED)
    table.compare(
        "add 1 to a shared integer from Python",
        _ATOMIC,
        group="atomics from Python",
        without=(_COUNTER,),
    )
    return table


def _start(value: Any) -> None:
    global _value
    _value = value
    extension.register()


def _contenders(
    pool: ProcessPoolExecutor, n: int, lost: list[float]
) -> Iterator[Contender]:
    for name in (_OURS, _LOSING, _FROM_PYTHON, _PEER):
        rounds = n if name in (_OURS, _LOSING) else n // 500
        for processes, where in ((1, ""), (2, _TOGETHER)):
            yield Contender(name + where, _sample(pool, name, processes, rounds, lost))


def _sample(
    pool: ProcessPoolExecutor, name: str, processes: int, n: int, lost: list[float]
) -> Sample:
    """Sample the time of one addition in the slower process."""

    def sample() -> float:
        element, barrier = sh.zeros(8, "i8"), Barrier(processes)
        begun = [
            pool.submit(_work, name, element, barrier, n) for _ in range(processes)
        ]
        seconds = max(one.result() for one in begun)
        counted, expected = int(element[0]), n * processes
        if name == _LOSING:
            lost.append(1 - counted / expected)
        elif name != _PEER and counted != expected:
            raise RuntimeError(f"{name} counted to {counted}, not to {expected}")
        return seconds / n

    return sample


def _work(name: str, element: Any, barrier: Barrier, n: int) -> float:
    """Count in a worker process, at the same time as the others."""
    count = _COUNTING[name]
    count(element, 0)  # compiles it
    barrier.wait()
    start = time.perf_counter()
    count(element, n)
    return time.perf_counter() - start


def _add(element: Any, n: int) -> None:
    for _ in range(n):
        atomic.add(element, 0, 1)


def _load_then_store(element: Any, n: int) -> None:
    for _ in range(n):
        atomic.store(element, 0, atomic.load(element, 0) + 1)


def _add_to_value(element: Any, n: int) -> None:
    for _ in range(n):
        with _value.get_lock():
            _value.value += 1


_COUNTING: dict[str, Callable[[Any, int], None]] = {
    _OURS: numba.njit(_add),
    _LOSING: numba.njit(_load_then_store),
    _FROM_PYTHON: _add,
    _PEER: _add_to_value,
}
