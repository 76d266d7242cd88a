"""Pools of all kinds, with one way to call functions in them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import loky
import loky.backend.resource_tracker
import numpy as np
import pytest

from sharray.passing.wire import relaying

POOLS = ["Pool fork", "Pool spawn"]
EXECUTORS = ["executor fork", "loky"]
KINDS = POOLS + EXECUTORS
_FORKS = ["Pool fork", "executor fork"]  # those that start quickly

NBYTES = 2_200_000  # of an argument; much smaller ones are always copied
_PATIENCE = 120  # seconds; a machine may be busy


@contextmanager
def pool_of(kind: str, workers: int = 1, **options: Any) -> Iterator[Any]:
    """Yield a pool, and wait for the end of its workers.

    Those that are forked relay all that they can, whatever has become of the last.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relaying, "_PAUSE", 0)
        patch.setattr(relaying, "_MOST_OUT", 1000)
        with _pool_of(kind, workers, **options) as pool:
            yield pool


@contextmanager
def _pool_of(kind: str, workers: int, **options: Any) -> Iterator[Any]:
    api, _, method = kind.partition(" ")
    if api == "Pool":
        with multiprocessing.get_context(method).Pool(workers, **options) as pool:
            yield pool
            pool.close()
            pool.join()
    elif api == "executor":
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(workers, context, **options) as executor:
            yield executor
    else:
        with loky.ProcessPoolExecutor(workers, **options) as executor:
            yield executor


def start_helpers() -> None:
    """Start the helper process of loky, and open what its first pool leaves open."""
    loky.backend.resource_tracker.ensure_running()
    with _pool_of("loky", 1) as pool:
        call(pool, abs, -1)


def submit(pool: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Start a task; return a function of the patience that waits for its result."""
    if hasattr(pool, "apply_async"):
        return pool.apply_async(function, arguments).get
    return pool.submit(function, *arguments).result


def call(pool: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a task, or the error that it raises."""
    wait = submit(pool, function, *arguments)
    return value_of(lambda: wait(_PATIENCE))


def value_of(function: Callable[[], Any]) -> Any:
    """Return the result of a function, or the error that it raises."""
    try:
        return function()
    except Exception as error:
        error.__cause__ = None  # the text of the worker's traceback
        return error.with_traceback(None)


def places(kinds: list[str]) -> Any:
    """Return a mark that gives a test kinds of pools; those that fork are quick."""
    slow = [kind for kind in kinds if kind not in _FORKS]
    quick = [kind for kind in kinds if kind in _FORKS]
    found = [*quick, *(pytest.param(kind, marks=pytest.mark.slow) for kind in slow)]
    return pytest.mark.parametrize("kind", found)


all_places = places(KINDS)


def numbered(number: int, order: Any = "C", nbytes: int = NBYTES) -> Any:
    """Return an array of two axes that differs for each number."""
    values = np.arange(nbytes // 512 * 64.0) + number * 1e7
    return np.array(values.reshape(-1, 64), order=order)
