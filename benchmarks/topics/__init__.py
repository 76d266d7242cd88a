"""The topics: each is a module of its name with a function `run`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import NamedTuple

from ..harness.measuring import Effort
from ..harness.scratch import Scratch
from ..harness.tables import Table


class Topic(NamedTuple):
    """A topic, as the pages show it."""

    description: str
    seconds: float  # that it plans to take, with its preparations


# In their order.
TOPICS = {
    "opening": Topic(
        "Open an existing array by its name and read its first element.", 5
    ),
    "handles": Topic(
        "Pickle a view, and unpickle it where the array is already mapped.", 6
    ),
    "elements": Topic(
        "Index and compute with a few elements: the overhead of the subclass.", 5
    ),
    "growing": Topic("Append rows to a file that other processes may read.", 15),
    "flushing": Topic("Bring a large array to the disk, while other threads run.", 10),
    "creating": Topic(
        "Create a large array in RAM, and fill it with one value or with contents.", 10
    ),
    "many": Topic("Make small arrays, and work beside thousands of others.", 45),
    "importing": Topic("Import sharray, in addition to NumPy.", 5),
    "dispatch": Topic("Call a no-op in a worker and wait for it to return.", 20),
    "loops": Topic(
        "Run numba kernels on large arrays, in workers or in numba's threads.", 25
    ),
    "reductions": Topic(
        "Reduce many elements to few, which makes workers wait for each other.", 20
    ),
    "chunks": Topic(
        "Divide uneven work into chunks, by kernels and by Python functions.", 36
    ),
    "functions": Topic("Call Python functions of NumPy and SciPy in workers.", 40),
    "larger": Topic(
        "Read and change a file that is larger than memory. It needs root.", 40
    ),
    "starting": Topic(
        "Start workers and get a first result, including compilation.", 60
    ),
    "atomics": Topic("Count in two processes at once, without losing counts.", 15),
    "passing": Topic("Send an ordinary array to a worker, and get it back.", 330),
}


def measure(topic: str, scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure the tables of a topic, one after the other."""
    # The package is large, and its processes import only parts of it.
    name = "..passing.calls" if topic == "passing" else f".{topic}"
    module = importlib.import_module(name, __package__)
    tables: Iterator[Table] = module.run(scratch, effort)
    return tables
