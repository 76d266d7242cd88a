"""A process that has many arrays, and another one that gets them from it.

``python -m benchmarks.scaling_process NUMBER`` prints seconds as JSON, for each of
`STEPS`.
"""

from __future__ import annotations

import json
import multiprocessing
import pickle
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sharray as sh

from .children import stoppable
from .errors import BenchmarkError

# What is done with all arrays, and how tables show it.
STEPS = {
    "make": "make them",
    "send": "pickle them",
    "receive": "unpickle them in another process",
    "list": "sh.list()",
    "collect": "drop them",
    "end": "end the process that has them",
}
_SIZE = 125
_kept: list[Any] = []  # until the process ends
_SPARE = 200  # descriptors for everything else


def main(number: int) -> None:
    """Do everything with so many arrays."""
    _allow_all_descriptors()
    found: dict[str, float] = {}
    # Not forked: it would have them already.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    other = context.Process(target=_receive, args=(theirs,))
    other.start()
    with _timed(found, "make"):
        arrays = [sh.zeros(_SIZE) for _ in range(number)]
    with _timed(found, "send"):
        handles = [pickle.dumps(array) for array in arrays]
    ours.send(handles)
    found |= ours.recv()
    with _timed(found, "end"):
        other.join()
    with _timed(found, "list"):
        listed = sh.list()
    if len(listed) != number:
        raise BenchmarkError(f"expected {number} arrays, found {len(listed)}")
    with _timed(found, "collect"):
        arrays.clear()
    print(json.dumps(found))


def _receive(connection: Any) -> None:
    """In the other process, which then ends while it has all of them."""
    _allow_all_descriptors()
    handles = connection.recv()
    found: dict[str, float] = {}
    with _timed(found, "receive"):
        arrays = [pickle.loads(handle) for handle in handles]
    connection.send(found)
    _kept.append(arrays)


@contextmanager
def _timed(found: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    found[step] = time.perf_counter() - start


def most_arrays() -> int:
    """How many arrays a process may have."""
    if sys.version_info >= (3, 13):
        return sys.maxsize
    # Up to Python 3.12 each needs a descriptor.
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE


def _allow_all_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    with stoppable():
        main(int(sys.argv[1]))
