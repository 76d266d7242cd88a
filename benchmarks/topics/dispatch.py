"""Dispatch: call a no-op in a worker and wait for it to return."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import sharray as sh

from ..harness.measuring import Contender, Effort, Sample
from ..harness.scratch import Scratch
from ..harness.tables import Table
from .peers import loky_executor

_STATIC = 'Team.run, schedule="static"'
_DYNAMIC = "Team.run"
_POOL = "multiprocessing.Pool.apply"
_EXECUTOR = "ProcessPoolExecutor.submit"
_LOKY = "joblib's loky, submit"
_PIPE = "a byte through os.pipe and back"
_SIZES = (1, 2, 4, 16)
_BURST = 50  # calls back to back; others take their turn between bursts
_WARM = 5  # calls before those, which wake the worker
_IDLE = 0.01
_ECHO = "import os\nwhile byte := os.read({0}, 1):\n    os.write({1}, byte)"

_Calls = dict[str, Callable[[], object] | None]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure one worker at a time; the caller of a team works, too."""
    with ExitStack() as stack:
        calls = _calls(stack)
        rounds = max(effort.rounds // 4, 2)
        who: dict[str, Any] = {
            "ours": _DYNAMIC,
            "group": "dispatch",
            "floors": (_PIPE,),
            "without": (_STATIC,),
        }
        table = Table.measured(
            "dispatch",
            f"no-op in one worker, call after call; medians of {_BURST} calls",
            [Contender(name, _burst(call)) for name, call in calls.items()],
            rounds,
            effort,
        )
        # Here the worker certainly takes part: it has a chunk of its own.
        table.demand(_STATIC, 1 / 50, times=_POOL)
        table.demand(_STATIC, 5e-6)
        table.compare("no-op in a worker", **who)
        yield table
        idle = Table.measured(
            "dispatch after a pause",
            f"no-op in one worker, each call after {_IDLE * 1000:.0f} ms of sleep",
            [Contender(name, _after_pause(call)) for name, call in calls.items()],
            rounds,
            effort,
        )
        idle.demand(_STATIC, 3, times=_PIPE)
        idle.compare("call a function that does nothing on an idle worker", **who)
        yield idle
    yield _by_size(effort)


def _by_size(effort: Effort) -> Table:
    """Measure teams of which most have more workers than there are cores."""
    kernel, x = sh.kernel(_nothing), sh.zeros(8 * _SIZES[-1])
    with ExitStack() as stack:
        calls = {
            size: _static(stack.enter_context(sh.Team(size)), kernel, x)
            for size in _SIZES
        }
        table = Table.measured(
            "dispatch by size",
            "no-op in each worker of a team, static",
            [Contender(_team(size), _burst(call)) for size, call in calls.items()],
            max(effort.rounds // 8, 2),
            effort,
        )
    table.demand(_team(16), 4, times=_team(2))
    return table


def _static(team: sh.Team, kernel: sh.Kernel, x: Any) -> Callable[[], object]:
    return lambda: team.run(kernel, x, schedule="static")


def _team(size: int) -> str:
    return f"Team({size})"


def _nothing(x: Any) -> None:
    pass


def _calls(stack: ExitStack) -> _Calls:
    """Return calls that return when the worker has answered."""
    spawn = multiprocessing.get_context("spawn")
    team = stack.enter_context(sh.Team(1))
    pool = stack.enter_context(spawn.Pool(1))
    executor = stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn))
    loky = stack.enter_context(loky_executor(1))
    kernel, x = sh.kernel(_nothing), sh.zeros(16)  # a cache line for each member
    return {
        _STATIC: lambda: team.run(kernel, x, schedule="static"),
        _DYNAMIC: lambda: team.run(kernel, x),
        _POOL: lambda: pool.apply(int),
        _EXECUTOR: lambda: executor.submit(int).result(),
        _LOKY: None if loky is None else lambda: loky.submit(int).result(),
        _PIPE: stack.enter_context(_echoing_process()),
    }


@contextmanager
def _echoing_process() -> Iterator[Callable[[], object]]:
    """Yield a call that sends a byte to another process and waits for it."""
    its_input, to_it = os.pipe()
    from_it, its_output = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", _ECHO.format(its_input, its_output)],
        pass_fds=(its_input, its_output),
    )
    os.close(its_input)
    os.close(its_output)

    def call() -> None:
        os.write(to_it, b".")
        os.read(from_it, 1)

    try:
        yield call
    finally:
        os.close(to_it)
        process.wait()
        os.close(from_it)


def _burst(call: Callable[[], object] | None) -> Sample | None:
    if call is None:
        return None

    def sample() -> float:
        for _ in range(_WARM):
            call()
        return statistics.median(_timed(call) for _ in range(_BURST))

    return sample


def _after_pause(call: Callable[[], object] | None) -> Sample | None:
    if call is None:
        return None

    def sample() -> float:
        time.sleep(_IDLE)
        return _timed(call)

    return sample


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
