"""Functions: call Python functions in workers, on chunks of large arrays."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

import sharray as sh

from ..harness.measuring import Contender, Effort, Sample, settled
from ..harness.scratch import Scratch
from ..harness.tables import Table
from .peers import loky_executor

_TASKS = 1000  # of nothing, in one sample
_SIDE = 1000  # pixels
_SIGMA = 2.0

_RUN = "Team.run"
_MAP = "Team.map"
_MAP_OUT = "Team.map, out="
_POOL = "multiprocessing.Pool.map, chunksize=1"
_EXECUTOR_MAP = "ProcessPoolExecutor.map"
_EXECUTOR = "ProcessPoolExecutor.map, handles"
_LOKY = "joblib's loky, handles"
_DASK = "dask, processes, handles"
_ONE = "one process"


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure the cost of a call, images, and results."""
    with ExitStack() as stack:
        spawn = multiprocessing.get_context("spawn")
        team = stack.enter_context(sh.Team())
        pool = stack.enter_context(spawn.Pool(team.size))
        executor = stack.enter_context(ProcessPoolExecutor(team.size, mp_context=spawn))
        yield _calls(team, pool, executor, effort)
        yield _images(stack, team, executor, effort)
        yield _results(team, effort)


# -- calls -------------------------------------------------------------------


def _nothing(x: Any) -> None:
    pass


def _calls(
    team: sh.Team, pool: Any, executor: ProcessPoolExecutor, effort: Effort
) -> Table:
    x = sh.zeros(_TASKS)
    table = Table.measured(
        "calls of a function",
        f"call a Python function that does nothing; of {_TASKS} calls, each",
        [
            Contender(_RUN, _each(lambda: team.run(_nothing, x, chunk=1))),
            Contender(_POOL, _each(lambda: pool.map(_nothing, range(_TASKS), 1))),
            Contender(
                _EXECUTOR_MAP,
                _each(lambda: list(executor.map(_nothing, range(_TASKS)))),
            ),
        ],
        effort.slow_rounds,
        effort,
    )
    table.demand(_RUN, 15e-6)
    table.demand(_RUN, 1 / 10, times=_POOL)
    table.compare("call a Python function for a chunk", _RUN, group="functions")
    return table


def _each(operation: Callable[[], object]) -> Sample:
    sample = settled(operation)
    return lambda: sample() / _TASKS


# -- images ------------------------------------------------------------------


def _smooth(images: Any, out: Any) -> None:
    for image, smooth in zip(images, out, strict=True):
        gaussian_filter(image, _SIGMA, output=smooth)


def _images(
    stack: ExitStack, team: sh.Team, executor: ProcessPoolExecutor, effort: Effort
) -> Table:
    count = max(effort.nbytes // 500_000, 4)
    images = sh.array(np.random.default_rng(0).random((count, _SIDE, _SIDE), "f4"))
    out = sh.empty(images.shape, "f4")
    pairs = partial(zip, images[:, None], out[:, None], strict=True)
    calls: dict[str, Callable[[], object] | None] = {
        _ONE: lambda: _smooth(images, out),
        _RUN: lambda: team.run(_smooth, images, out),
        _EXECUTOR: lambda: list(executor.map(_smooth_pair, pairs())),
        _LOKY: _with_loky(stack, team.size, pairs),
        _DASK: _with_dask(executor, pairs),
    }
    table = Table.measured(
        "images",
        f"scipy.ndimage.gaussian_filter of {count} images of 1 million float32",
        [
            Contender(name, None if call is None else settled(call))
            for name, call in calls.items()
        ],
        min(effort.slow_rounds, 7),
        effort,
        seconds=25.0,
    )
    table.demand(_RUN, 1 / 1.9, times=_ONE)
    for other in (_EXECUTOR, _LOKY, _DASK):
        table.demand(_RUN, 1.0, times=other)
    table.compare(
        f"filter {count} images by SciPy", _RUN, group="functions", without=(_ONE,)
    )
    return table


def _smooth_pair(pair: tuple[Any, Any]) -> None:
    _smooth(*pair)


def _with_loky(
    stack: ExitStack, workers: int, pairs: Callable[[], Any]
) -> Callable[[], object] | None:
    executor = stack.enter_context(loky_executor(workers))
    if executor is None:
        return None
    return lambda: list(executor.map(_smooth_pair, pairs()))


def _with_dask(
    executor: ProcessPoolExecutor, pairs: Callable[[], Any]
) -> Callable[[], object] | None:
    try:
        import dask
    except ImportError:
        return None
    one: Any = dask.delayed(_smooth_pair, pure=False)
    return lambda: dask.compute(
        *[one(pair) for pair in pairs()], scheduler="processes", pool=executor
    )


# -- results -----------------------------------------------------------------


def _waves(x: Any) -> Any:
    return np.sin(x)


def _results(team: sh.Team, effort: Effort) -> Table:
    x = sh.array(np.random.default_rng(0).random(effort.nbytes // 8).reshape(-1, 100))
    plain, out = np.asarray(x), sh.empty(x.shape)
    private = np.empty(x.shape)
    size = f"{effort.nbytes / 1e6:.0f} MB"
    table = Table.measured(
        "results",
        f"a function that returns {size} of float64 (np.sin)",
        [
            Contender(_ONE + ", out=", settled(lambda: np.sin(plain, out=private))),
            Contender(_MAP, _dropping(lambda: team.map(_waves, x))),
            Contender(_MAP_OUT, settled(lambda: team.map(_waves, x, out=out))),
        ],
        effort.slow_rounds,
        effort,
    )
    table.demand(_MAP, 0.6, times=_ONE + ", out=")
    return table


def _dropping(operation: Callable[[], object]) -> Sample:
    """Sample an operation whose result is dropped after the measurement."""

    def sample() -> float:
        time.sleep(0.02)
        start = time.perf_counter()
        result = operation()
        taken = time.perf_counter() - start
        del result
        return taken

    return sample
