"""Elements: index and compute with a few of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import sharray as sh

from ..harness.measuring import Contender, Effort, repeated
from ..harness.scratch import Scratch
from ..harness.tables import Table

# Statement, size of the array, and how much longer than ndarray it may take.
_CASES = [("a[5]", 16, 1.1), ("a[5:9]", 16, 4.0), ("a + 1", 4, 2.0)]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure indexing, slicing and arithmetic on a few elements."""
    for statement, n, limit in _CASES:
        arrays: dict[str, Any] = {
            "ndarray": np.zeros(n),
            "SharedArray": sh.zeros(n),
            "np.memmap": np.memmap(scratch.ram / "plain", float, "w+", shape=n),
        }
        table = Table.measured(
            statement,
            f"{statement}, {n} elements",
            [
                # 20 to a loop, whose own time would make the three more alike.
                Contender(name, repeated(statement, effort.seconds, unroll=20, a=array))
                for name, array in arrays.items()
            ],
            effort.rounds,
            effort,
        )
        table.demand("SharedArray", limit, times="ndarray")
        table.demand("SharedArray", 1, times="np.memmap")
        table.compare(
            f"{statement}, {n} elements",
            "SharedArray",
            group="elements",
            floors=("ndarray",),
        )
        yield table
