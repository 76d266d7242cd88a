"""Counters and barriers as arguments of numba kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from threading import BrokenBarrierError
from typing import Any

from numba.core import types
from numba.core.cgutils import create_struct_proxy
from numba.extending import (
    NativeValue,
    make_attribute_wrapper,
    models,
    overload_attribute,
    overload_method,
    register_jitable,
    register_model,
    typeof_impl,
    unbox,
)

from ...native import atomic
from ...sync import barrier_protocol
from ...sync.barrier import MESSAGE, SPINS_IN_KERNELS, Barrier
from ...sync.cells import Cells
from ...sync.counter import Counter


class CellsType(types.Type):
    """numba's type of an object that consists of integers in shared memory."""

    cells = types.Array(types.int64, 1, "C")


class CounterType(CellsType):
    """numba's type of a `sharray.sync.counter.Counter`."""

    def __init__(self) -> None:
        super().__init__("Counter")


class BarrierType(CellsType):
    """numba's type of a `sharray.sync.barrier.Barrier`."""

    def __init__(self) -> None:
        super().__init__("Barrier")


TYPES = {"Counter": CounterType(), "Barrier": BarrierType()}


@typeof_impl.register(Cells)
def _type_of(value: Cells, _: Any) -> CellsType:
    return TYPES[type(value).__name__]


class _CellsModel(models.StructModel):
    """The structure of such an object in a kernel: one array."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("cells", kind.cells)])


def _unbox(kind: Any, instance: Any, converter: Any) -> Any:
    """Convert a Python object to a structure with its array."""
    cells = converter.pyapi.object_getattr_string(instance, "_cells")
    found = converter.unbox(kind.cells, cells)
    converter.pyapi.decref(cells)
    proxy = create_struct_proxy(kind)(converter.context, converter.builder)
    proxy.cells = found.value
    return NativeValue(proxy._getvalue(), is_error=found.is_error)


for _type in (CounterType, BarrierType):
    register_model(_type)(_CellsModel)
    unbox(_type)(_unbox)
    make_attribute_wrapper(_type, "cells", "_cells")


def _always(implementation: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives numba this implementation for all types."""

    # numba requires the same signature for both, and finds it through `wraps`.
    @functools.wraps(implementation)
    def choose(*kinds: Any, **named: Any) -> Callable[..., Any]:
        return implementation

    return choose


def _counter_add(self: Any, n: int = 1) -> Any:
    """Add like `Counter.add`, which calls a built-in function."""
    return atomic.add(self._cells, 0, n)


def _counter_value(self: Any) -> Any:
    return atomic.load(self._cells, 0)


def _barrier_wait(self: Any, timeout: Any = None) -> Any:
    """Wait like `Barrier.wait`, without its checks for Ctrl-C."""
    timeout_ns = barrier_protocol.nanoseconds(timeout)
    index = barrier_protocol.wait(self._cells, timeout_ns, SPINS_IN_KERNELS)
    if index < 0:
        raise BrokenBarrierError(MESSAGE)
    return index


for _function in (
    barrier_protocol.nanoseconds,
    barrier_protocol.wait,
    barrier_protocol.abort,
    barrier_protocol.reset,
    barrier_protocol.waiting,
    barrier_protocol.broken,
    barrier_protocol._next_generation,
    barrier_protocol._sleep,
    barrier_protocol._was_completed,
    barrier_protocol._break,
):
    register_jitable(_function)

for _type, _name, _method in (
    (CounterType, "add", _counter_add),
    (CounterType, "reset", Counter.reset),
    (BarrierType, "abort", Barrier.abort),
    (BarrierType, "reset", Barrier.reset),
):
    overload_method(_type, _name)(_always(_method))
# Inline, since numba does not release the arrays of a caller if a function that it
# calls raises an error.
overload_method(BarrierType, "wait", inline="always")(_always(_barrier_wait))

overload_attribute(CounterType, "value")(_always(_counter_value))
for _name in ("broken", "n_waiting", "parties"):
    overload_attribute(BarrierType, _name)(_always(getattr(Barrier, _name).fget))
