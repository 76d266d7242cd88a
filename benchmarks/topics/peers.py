"""Peers of several topics: other libraries, which may not be installed."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np


def shared_array_module() -> Any | None:
    """Return the C extension ``SharedArray``; None if it is not installed."""
    try:
        return importlib.import_module("SharedArray")
    except ImportError:
        return None


@contextmanager
def loky_executor(workers: int) -> Iterator[Any | None]:
    """Return the executor that joblib uses; None if it is not installed."""
    try:
        loky = importlib.import_module("joblib.externals.loky")
    except ImportError:
        yield None
        return
    executor = loky.get_reusable_executor(workers)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True)


@contextmanager
def shared_array_peer(module: Any, shape: int) -> Iterator[tuple[str, Any]]:
    """Make an array of that library; return it, and the name to attach it by."""
    name = f"shm://{unique_name()}"
    array = module.create(name, shape, float)
    try:
        yield name, array
    finally:
        module.delete(name)


@contextmanager
def standard_library_peer(shape: int) -> Iterator[tuple[str, Any]]:
    """Make an array in `multiprocessing.shared_memory`; return it, and its name."""
    block = SharedMemory(unique_name(), create=True, size=8 * shape)
    array: Any = np.ndarray(shape, buffer=block.buf)
    try:
        yield block.name, array
    finally:
        block.unlink()
        # The caller may hold the array still; without ours, the block closes
        # itself when that is gone.
        del array


def unique_name() -> str:
    """Return a name in RAM from which a leftover can be told."""
    return f"sharray-benchmark-{os.getpid()}-{os.urandom(4).hex()}"
