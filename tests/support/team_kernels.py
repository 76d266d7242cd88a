"""Kernels that several tests of teams run; all but `hold` run as plain Python too."""

from __future__ import annotations

from typing import Any

import numpy as np

import sharray as sh


@sh.kernel
def increment(x: Any) -> None:
    for index in np.ndindex(x.shape):
        x[index] += 1


@sh.kernel
def add(x: Any, n: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += n


@sh.kernel
def add_arrays(x: Any, y: Any) -> None:
    for index in np.ndindex(x.shape):
        x[index] += y[index]


@sh.kernel
def total(x: Any) -> Any:
    found = 0.0
    for index in np.ndindex(x.shape):
        found += x[index]
    return found


@sh.kernel
def one_more(n: Any) -> Any:
    return n + 1


@sh.kernel
def count_in_range(x: Any) -> None:
    for i in sh.prange(x.shape[0]):
        x[i] += 1


@sh.kernel
def hold(x: Any, gate: Any) -> None:
    """Count the chunk in gate[0], and wait until gate[1] is set."""
    sh.atomic.add(gate, 0, 1)
    while sh.atomic.load(gate, 1) == 0:
        pass
    for i in range(x.shape[0]):
        x[i] += 1


@sh.kernel
def refuse(x: Any, at: Any) -> None:
    """Raise in the chunk with an element that equals `at`."""
    for i in range(x.shape[0]):
        if x[i] == at:
            raise ValueError("refused", 42)


@sh.kernel
def number_of_chunks(x: Any, counter: Any) -> None:
    counter.add()
