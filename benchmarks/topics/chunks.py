"""Chunks: sizes that follow time, against the best fixed size and other schedulers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np

import sharray as sh

from ..harness.measuring import Contender, Effort, settled
from ..harness.scratch import Scratch
from ..harness.tables import Table

_DEFAULT = "default"
_STATIC = 'schedule="static"'
_NUMBA = "numba.njit(parallel=True)"
_GUIDED = "guided, as in OpenMP"
_AUTO = "joblib, batch_size='auto'"
_FIXED = (1, 4, 16, 64, 256)
_ROWS = 4000
_STEPS = 400_000_000  # of a loop, in all rows together: about 0.4 s


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure three kinds of work, by kernels and by Python functions."""
    total = max(_STEPS * effort.nbytes // 100_000_000, 4_000_000)
    with sh.Team() as team:
        for kind, steps in _kinds(total).items():
            yield _kernels(team, kind, sh.array(steps), effort)
            yield _functions(team, kind, sh.array(steps), effort)


def _kinds(total: int) -> dict[str, Any]:
    """Return the steps of each row for each kind of work."""
    tails = np.random.default_rng(0).pareto(1.5, _ROWS) + 0.05
    weights = {
        "uniform": np.ones(_ROWS),
        "triangular": np.arange(1.0, _ROWS + 1),
        "heavy-tailed": np.minimum(tails, 50.0),
    }
    return {
        kind: np.maximum(total * found / found.sum(), 1).astype(np.int64)
        for kind, found in weights.items()
    }


# -- kernels -----------------------------------------------------------------


def _burn(steps: Any, out: Any) -> None:
    for i in numba.prange(steps.shape[0]):
        x = 1.0 + i
        for _ in range(steps[i]):
            x = x * 1.0000001 + 1e-9
        out[i] = x


def _kernels(team: sh.Team, kind: str, steps: Any, effort: Effort) -> Table:
    out, plain = sh.empty(_ROWS), np.asarray(steps)
    result = np.empty(_ROWS)
    kernel, parallel = sh.kernel(_burn), numba.njit(parallel=True)(_burn)
    calls: dict[str, Callable[[], object]] = {
        _DEFAULT: lambda: team.run(kernel, steps, out),
        _STATIC: lambda: team.run(kernel, steps, out, schedule="static"),
        _NUMBA: lambda: parallel(plain, result),
        _GUIDED: lambda: _guided(team, kernel, steps, out),
    }
    for size in _FIXED:
        calls[f"chunk={size}"] = lambda size=size: team.run(  # type: ignore[misc]
            kernel, steps, out, chunk=size
        )
    return _table(f"chunks, {kind} kernels", f"{kind} work by a kernel", calls, effort)


def _guided(team: sh.Team, kernel: Any, steps: Any, out: Any) -> None:
    """Let members take a share of the rows that are left, as OpenMP's guided does.

    Each round of equal chunks is a run of its own.
    """
    begin = 0
    while begin < _ROWS:
        size = max((_ROWS - begin) // (2 * team.size), 8)
        end = min(begin + size * team.size, _ROWS)
        team.run(kernel, steps[begin:end], out[begin:end], chunk=size)
        begin = end


# -- functions ---------------------------------------------------------------


def _burn_in_python(steps: Any, out: Any) -> None:
    for i, count in enumerate(steps.tolist()):
        found = 0
        for number in range(count // 20):  # a step of Python takes as long as 20
            found += number
        out[i] = found


def _functions(team: sh.Team, kind: str, steps: Any, effort: Effort) -> Table:
    out = sh.empty(_ROWS)
    calls: dict[str, Callable[[], object]] = {
        _DEFAULT: lambda: team.run(_burn_in_python, steps, out),
        _STATIC: lambda: team.run(_burn_in_python, steps, out, schedule="static"),
    }
    for size in _FIXED:
        calls[f"chunk={size}"] = lambda size=size: team.run(  # type: ignore[misc]
            _burn_in_python, steps, out, chunk=size
        )
    joblib = _with_joblib(team.size, steps, out)
    if joblib is not None:
        calls[_AUTO] = joblib
    title = f"{kind} work by a Python function"
    return _table(f"chunks, {kind} functions", title, calls, effort)


def _with_joblib(workers: int, steps: Any, out: Any) -> Callable[[], object] | None:
    try:
        import joblib
    except ImportError:
        return None
    rows = list(zip(steps[:, None], out[:, None], strict=True))
    parallel = joblib.Parallel(workers, batch_size="auto")
    return lambda: parallel(joblib.delayed(_burn_in_python)(*row) for row in rows)


def _table(
    name: str, title: str, calls: dict[str, Callable[[], object]], effort: Effort
) -> Table:
    table = Table.measured(
        name,
        f"{title}, {_ROWS} rows",
        [Contender(name, settled(call)) for name, call in calls.items()],
        effort.slow_rounds,
        effort,
    )
    fixed = [f"chunk={size}" for size in _FIXED]
    best = min(fixed, key=lambda one: table.spread(one).median)  # type: ignore[union-attr]
    table.demand(_DEFAULT, 1.02, times=best)
    return table
