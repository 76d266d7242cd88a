"""Tasks for dask's workers, and a cluster in its own process.

As a program, this starts the cluster and prints its addresses as one line of JSON. It
ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from typing import Any

import numpy as np

import sharray as sh
from sharray.arrays.root import find_root_at

Array = np.ndarray[Any, Any]


def arrays_of(obj: Any) -> list[Array]:
    """Return the arrays that an object consists of."""
    if isinstance(obj, np.ndarray):
        return [obj]
    if isinstance(obj, dict):
        return [array for value in obj.values() for array in arrays_of(value)]
    if isinstance(obj, list):
        return [array for value in obj for array in arrays_of(value)]
    if hasattr(obj, "indptr"):
        return [obj.data, obj.indices]
    return [np.asarray(obj[name]) for name in obj.columns]


def places(obj: Any) -> list[tuple[bytes, int] | None]:
    """Return file and position of each array of an object; None for private ones."""
    return [place(array) for array in arrays_of(obj)]


def place(array: Array) -> tuple[bytes, int] | None:
    address = array.__array_interface__["data"][0]
    root = find_root_at(address)
    return None if root is None else (root.segment.identity, address - root.address)


def values(obj: Any) -> list[Array]:
    return [np.array(array) for array in arrays_of(obj)]


def add_one(obj: Any) -> list[tuple[bytes, int] | None]:
    """Change all arrays in place; return their places."""
    for array in arrays_of(obj):
        array.flags.writeable = True  # pandas returns its columns read-only
        array += 1
    return places(obj)


def describe(obj: Any) -> tuple[list[str], list[tuple[bytes, int] | None], list[Array]]:
    """Return types, places and values of the arrays of an object."""
    found = arrays_of(obj)
    return [type(array).__name__ for array in found], places(obj), values(obj)


def identity(obj: Any) -> Any:
    return obj


def make(n: int) -> sh.SharedArray[Any, Any]:
    return sh.full(n, 7.0)


def increment(block: Array) -> Array:
    block += 1
    return block


def sent_bytes(dask_worker: Any) -> list[int]:
    """Return the bytes of each answer of a worker to others."""
    return [entry["compressed"] for entry in dask_worker.transfer_outgoing_log]


async def forget(dask_scheduler: Any) -> None:
    """Wait until a scheduler has forgotten all tasks.

    Otherwise its last messages, and cycles, keep the arrays in the tasks.
    """
    async with asyncio.timeout(20):
        while dask_scheduler.tasks:
            await asyncio.sleep(0.01)
    for stream in dask_scheduler.stream_comms.values():
        stream.recent_message_log.clear()
    gc.collect()


def main() -> None:
    from distributed import Nanny, Scheduler, SpecCluster

    options = {"nthreads": 1, "memory_limit": 0, "host": "127.0.0.1"}
    far = {"env": {"SHARRAY_HOST": "elsewhere"}}
    with SpecCluster(
        scheduler={
            "cls": Scheduler,
            "options": {"host": "127.0.0.1", "port": 0, "dashboard": False},
        },
        workers={
            "near": {"cls": Nanny, "options": options},
            "next": {"cls": Nanny, "options": options},
            "far": {"cls": Nanny, "options": options | far},
        },
        silence_logs="error",
    ) as cluster:
        found = {
            str(worker.name): worker.worker_address
            for worker in cluster.workers.values()
        }
        found["scheduler"] = cluster.scheduler_address
        sys.stdout.write(json.dumps(found) + os.linesep)
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
