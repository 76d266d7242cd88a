"""Workers are killed while they relay: what arrives is right, and files come back."""

from __future__ import annotations

import gc
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
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
# Lines of the library, from the return of the function on; the worker is killed at one.
LINES = range(1, 700, 13)


def run(line: int) -> list[int]:
    """Kill the only worker at a line; return which of two results have arrived."""
    arrived = []
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, context) as executor:
        executor.submit(tasks.nothing, numbered(0)).result()
        waiting: list[Any] = [
            executor.submit(tasks.double, numbered(0)),
            executor.submit(tasks.double_and_die_at, numbered(1), line),
        ]
        for number, future in enumerate(waiting):
            try:
                found = future.result()
            except BrokenProcessPool:
                continue
            np.testing.assert_array_equal(found, 2 * numbered(number))
            found[:] = -1  # no other result changes
            arrived.append(number)
    return arrived


def test_a_worker_is_killed_at_any_line() -> None:
    with sh.installed():
        arrived = [run(line) for line in LINES]
        gc.collect()  # closes the pipes
        sh.gc()
        assert outbox._outgoing == []  # none is in flight, or held
    assert [0] in arrived  # before the result has left
    assert [0, 1] in arrived  # and after that
    assert all(numbers[:1] == [0] for numbers in arrived)
