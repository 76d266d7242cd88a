"""Whether sharray is installed as ordered in loky's workers; runs with their tests."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from loky import ProcessPoolExecutor, get_reusable_executor
from loky.backend import get_context

from peers.reporting import read_order


def threshold() -> int | None:
    """Return what `sharray.install` was told in this process; None: it was not."""
    if "sharray.passing.options" not in sys.modules:
        return None
    from sharray.passing.options import State

    return State.options and State.options.threshold


def told_by_worker(array: np.ndarray) -> tuple[int | None, np.ndarray]:
    """Return the threshold of the worker, and the array, changed."""
    return threshold(), array + 1


def _check(executor: ProcessPoolExecutor) -> None:
    expected = read_order(sys.argv[1]).threshold
    assert threshold() == expected
    told, array = executor.submit(told_by_worker, np.arange(10**5)).result()
    assert told == expected
    assert (array == np.arange(10**5) + 1).all()


@pytest.mark.parametrize("method", ["loky", "spawn", "forkserver"])
def test_in_workers(method: str) -> None:
    with ProcessPoolExecutor(1, context=get_context(method)) as executor:
        _check(executor)


def test_in_reusable_workers() -> None:
    executor = get_reusable_executor(max_workers=1)
    _check(executor)
    executor.shutdown()
