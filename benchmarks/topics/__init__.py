"""The topics: each is a module of its name with a function `run`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from ..harness.measuring import Effort
from ..harness.scratch import Scratch
from ..harness.tables import Table

# In their order, with what the pages say of them.
TOPICS = {
    "opening": "Open an existing array by its name and read its first element.",
    "handles": "Pickle a view, and unpickle it where the array is already mapped.",
    "elements": "Index and compute with a few elements: the overhead of the subclass.",
    "growing": "Append rows to a file that other processes may read.",
    "flushing": "Bring a large array to the disk, while other threads run.",
    "creating": "Create a large array in RAM and fill it with one value.",
    "importing": "Import sharray, in addition to NumPy.",
    "dispatch": "Call a no-op in a worker and wait for it to return.",
    "loops": "Run numba kernels on large arrays, in workers or in numba's threads.",
    "reductions": "Reduce many elements to few, which makes workers wait for each "
    "other.",
    "chunks": "Divide uneven work into chunks, by kernels and by Python functions.",
    "functions": "Call Python functions of NumPy and SciPy in workers.",
    "larger": "Read and change a file that is larger than memory. It needs root.",
    "starting": "Start workers and get a first result, including compilation.",
    "atomics": "Count in two processes at once, without losing counts.",
    "passing": "Send an ordinary array to a worker, and get it back.",
}


def measure(topic: str, scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure the tables of a topic, one after the other."""
    # The package is large, and its processes import only parts of it.
    name = "..passing.calls" if topic == "passing" else f".{topic}"
    module = importlib.import_module(name, __package__)
    tables: Iterator[Table] = module.run(scratch, effort)
    return tables
