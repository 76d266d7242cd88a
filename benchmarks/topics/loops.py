"""Loops: run numba kernels on large arrays, in workers or in numba's threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numba
import numpy as np

import sharray as sh

from ..harness.measuring import Contender, Effort, settled
from ..harness.scratch import Scratch
from ..harness.tables import Table

_ALONE = "numba.njit, one core"
_PARALLEL = "numba.njit(parallel=True)"
_WORKER = "a team of one worker"
_WORDS = {"stencil": "stencil loop (each element and its neighbours)"}
_TEAM = "a team on all cores"


class Loop(NamedTuple):
    """A loop over arrays, of which it writes the first."""

    name: str
    function: Callable[..., None]  # with numba.prange
    kernel: sh.Kernel
    arrays: list[Any]
    limits: dict[str, float]  # on what a team on all cores may take of others
    repeats: int = 1  # loops that wait for memory vary more


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure all contenders on the same memory, already mapped in each process."""
    with sh.Team(1, caller_works=False) as worker, sh.Team() as team:
        for loop in _loops(effort.nbytes // 8):
            yield _table(loop, worker, team, effort)


def _loops(n: int) -> Iterator[Loop]:
    x, y, out = sh.array(np.linspace(1, 2, n)), sh.ones(n), sh.empty(n)
    keeps_up, scales = {_PARALLEL: 1 / 0.95}, {_ALONE: 1 / 1.8}
    yield Loop("elementwise", _add, sh.kernel(_add), [out, x, y, 0.5], keeps_up, 3)
    field, smooth = (one.reshape(-1, 1000) for one in (x, out))
    yield Loop(
        "stencil", _smooth, sh.kernel(_smooth_part), [smooth, field], keeps_up, 3
    )
    yield Loop(
        "transcendental", _wave, sh.kernel(_wave), [out, x], {**keeps_up, **scales}
    )


# Without parallel=True, numba.prange is range.
def _add(out: Any, x: Any, y: Any, a: float) -> None:
    for i in numba.prange(x.shape[0]):
        out[i] = x[i] * a + y[i]


def _smooth(out: Any, x: Any) -> None:
    for i in numba.prange(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            around = x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]
            out[i, j] = (4 * x[i, j] + around) / 8


def _smooth_part(out: Any, x: Any) -> None:
    for i in sh.prange(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            around = x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]
            out[i, j] = (4 * x[i, j] + around) / 8


def _wave(out: Any, x: Any) -> None:
    for i in numba.prange(x.shape[0]):
        out[i] = math.sin(x[i]) * math.exp(-x[i]) + math.sqrt(x[i])


def _table(loop: Loop, worker: sh.Team, team: sh.Team, effort: Effort) -> Table:
    shared = loop.arrays
    plain = [np.asarray(one) if isinstance(one, np.ndarray) else one for one in shared]
    alone, parallel = numba.njit(loop.function), _parallel(loop.function)
    calls = {
        _ALONE: lambda: alone(*plain),
        _PARALLEL: lambda: parallel(*plain),
        _WORKER: lambda: worker.run(loop.kernel, *shared),
        _TEAM: lambda: team.run(loop.kernel, *shared),
    }
    _verify(calls, plain[0])
    table = Table.measured(
        loop.name,
        f"{loop.name} loop on {effort.nbytes / 1e6:.0f} MB of float64, "
        f"{team.size} cores, numba's threading layer {numba.threading_layer()}",
        [Contender(name, settled(call)) for name, call in calls.items()],
        loop.repeats * effort.slow_rounds,
        effort,
    )
    table.demand(_WORKER, 1 / 0.97, times=_ALONE)
    for other, limit in loop.limits.items():
        table.demand(_TEAM, limit, times=other)
    table.compare(
        f"{_WORDS.get(loop.name, f'{loop.name} loop')}, {effort.nbytes / 1e6:.0f} MB",
        _TEAM,
        group="loops",
        without=(_WORKER,),
    )
    return table


def _parallel(function: Callable[..., None]) -> Callable[..., None]:
    compiled: Callable[..., None] = numba.njit(parallel=True)(function)
    return compiled


def _verify(calls: dict[str, Callable[[], object]], out: Any) -> None:
    """Compile all contenders and check that they write the same."""
    out[...] = 0
    calls[_ALONE]()
    expected = out.copy()
    for name, call in calls.items():
        out[...] = 0
        call()
        if not np.allclose(out, expected, rtol=1e-12, atol=0):
            raise RuntimeError(f"{name} computes something else")
