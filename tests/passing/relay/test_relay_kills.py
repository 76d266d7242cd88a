"""Workers are killed while they relay: what arrives is right, and files come back."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import pytest
import relay_tasks as tasks
from ownership_pools import numbered

import sharray as sh
from sharray.storage.messages import outbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
ROUNDS, TASKS = 40, 30


def check(futures: dict[Future[Any], int], kill: Any, after: int) -> int:
    """Check all results; kill after so many, and return how many came."""
    came = 0
    for future in as_completed(list(futures)):
        first = futures.pop(future)
        try:
            found = future.result()
        except BrokenProcessPool:
            continue
        np.testing.assert_array_equal(found, 2 * numbered(first))
        found[:] = -1  # no other result changes
        came += 1
        if came == after:
            kill()
    return came


def run(choose: random.Random) -> int:
    """Have an executor do tasks, kill a worker, and return how many results came."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, context) as executor:
        futures: Any = {
            executor.submit(tasks.double, numbered(first)): first
            for first in range(TASKS)
        }
        pid = choose.choice(list(executor._processes))
        return check(
            futures,
            lambda: os.kill(pid, signal.SIGKILL),
            choose.randrange(1, TASKS // 2),
        )


def test_workers_are_killed_at_any_time() -> None:
    choose = random.Random(3)
    with sh.installed():
        assert all(run(choose) > 0 for _ in range(ROUNDS))
        gc.collect()  # closes the pipes
        sh.gc()
        assert outbox._outgoing == []  # none is in flight, or held
