"""Pools of all kinds, with one way to call functions in them."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import loky
import numpy as np
import pytest

POOLS = ["Pool fork", "Pool spawn", "Pool forkserver"]
EXECUTORS = ["executor fork", "executor spawn", "loky"]
KINDS = POOLS + EXECUTORS
_FORKS = ["Pool fork", "executor fork"]  # those that start quickly

SIZES = SMALL, MIDDLE, LARGE = [300_000, 3_000_000, 12_000_000]  # bytes
_PATIENCE = 120  # seconds; a machine may be busy


@contextmanager
def pool_of(kind: str, workers: int = 1, **options: Any) -> Iterator[Any]:
    """Yield a pool, and wait for the end of its workers."""
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


def places(kinds: list[str], sizes: list[int]) -> Any:
    """Return a mark that gives a test kinds of pools, and bytes of arrays.

    Large arrays go through pools that start by a fork, since how a worker starts has
    little to do with the size.
    """
    found = []
    for kind, nbytes in itertools.product(kinds, sizes):
        if nbytes == SMALL or kind in _FORKS:
            is_quick = nbytes == SMALL and kind in _FORKS
            marks = [] if is_quick else pytest.mark.slow
            found.append(pytest.param(kind, nbytes, marks=marks))
    return pytest.mark.parametrize(("kind", "nbytes"), found)


all_places = places(KINDS, SIZES)


def numbered(number: int, nbytes: int, order: Any = "C") -> Any:
    """Return an array of two axes that differs for each number."""
    values = np.arange(nbytes // 512 * 64.0) + number * 1e7
    return np.array(values.reshape(-1, 64), order=order)
