"""Kernels, barriers and counters, interrupted at each point."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import team_tools
from interrupting import Interrupted, interrupt_everywhere
from team_kernels import one_more

import sharray as sh
from sharray.kernels import kernel as kernels
from sharray.native.atomic_elements import CALLS_AS_INT, _machine_function

SOON = 60.0


def test_waiting_at_a_barrier() -> None:
    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        if barrier.broken:  # as a barrier of threads is
            barrier.reset()
        assert (barrier.n_waiting, barrier.wait(SOON)) == (0, 0)

    barrier = sh.Barrier(1)
    interrupt_everywhere(lambda: barrier.wait(SOON), check)


@pytest.mark.parametrize("name", ["abort", "reset"])
def test_breaking_a_barrier(name: str) -> None:
    def call() -> None:
        barrier.abort()
        getattr(barrier, name)()

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        call()
        barrier.reset()
        assert barrier.wait(SOON) == 0

    barrier = sh.Barrier(1)
    interrupt_everywhere(call, check)


def test_counting() -> None:
    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        before = counter.value
        assert before in (values[-1], values[-1] + 1)
        assert counter.add() == before
        values.append(before + 1)

    counter, values = sh.Counter(), [0]
    interrupt_everywhere(counter.add, check)


def test_compiling_an_atomic_operation() -> None:
    def call() -> None:
        _machine_function.cache_clear()
        vars(CALLS_AS_INT).pop("add", None)
        counter.add()
        counter.add(number)

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        call()

    counter = sh.Counter()
    number: Any = np.int64(1)  # which the built-in function leaves to Python
    interrupt_everywhere(call, check, step=3)


@team_tools.needs_jit
def test_pickling_a_kernel() -> None:
    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        assert len(pickle.dumps(one_more)) == size

    one_more.compile(1)
    size = len(pickle.dumps(one_more))
    interrupt_everywhere(lambda: pickle.dumps(one_more), check)


@team_tools.needs_jit
def test_receiving_and_calling_a_kernel() -> None:
    # As another process would, once for each point.
    def call() -> Any:
        return pickle.loads(data)(4)

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        assert call() == 5
        kernels._known.clear()
        kernels._arrived.clear()

    known, arrived = kernels._known.copy(), kernels._arrived.copy()
    one_more.compile(1)
    data = pickle.dumps(one_more)
    kernels._known.clear()
    try:
        interrupt_everywhere(call, check, step=5)
    finally:
        kernels._known.clear()
        kernels._known.update(known)
        kernels._arrived.clear()
        kernels._arrived.update(arrived)
