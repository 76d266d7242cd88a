"""What stands in the place of loky's own functions; joblib has its own copy of loky."""

from __future__ import annotations

import functools
import pickle
from importlib import import_module
from typing import Any

import numpy as np

from .collecting import Sources
from .options import State
from .sending import write
from .starting import Starting

# What joblib says of arrays in results; it matters for those that it has mapped.
_FOR_RESULTS = "reduce_array_memmap_backward"


class LokyHooks:
    """The hooks in loky, by itself or within joblib.

    joblib's own way for arguments, files that all tasks map, is left alone.

    Parameters
    ----------
    package : str
        Its name.
    """

    def __init__(self, package: str) -> None:
        self._queues: Any = import_module(f"{package}.backend.queues")
        self._reduction: Any = import_module(f"{package}.backend.reduction")
        self._process = import_module("multiprocessing.process").BaseProcess
        self._dump = self._reduction.dump
        self._dumps = self._queues.dumps

    def set(self) -> None:
        """As `Hooks.set`."""
        self._queues.dumps = self._hooked_dumps()
        self._reduction.dump = self._hooked_dump()

    def remove(self) -> None:
        """As `Hooks.remove`."""
        self._queues.dumps = self._dumps
        self._reduction.dump = self._dump

    def _hooked_dumps(self) -> Any:
        """The pickler of loky's queues."""
        original, reduction = self._dumps, self._reduction

        @functools.wraps(original)
        def dumps(obj: Any, reducers: Any = None, protocol: Any = None) -> memoryview:
            options = State.options
            collector = _collector_of(reduction.get_loky_pickler())
            if options is None or protocol is not None or collector is None:
                plain: memoryview = original(obj, reducers, protocol)
                return plain
            collect = functools.partial(collector, reducers or {})
            return write(obj, options, collector=collect).data

        return dumps

    def _hooked_dump(self) -> Any:
        """`reduction.dump`: what a new process is told."""
        original, process = self._dump, self._process

        @functools.wraps(original)
        def dump(obj: Any, *arguments: Any, **more: Any) -> None:
            if State.options is not None and isinstance(obj, process):
                obj = Starting(obj, State.options)
            original(obj, *arguments, **more)

        return dump


@functools.cache
def _collector_of(pickler: Any) -> Any:
    """As `sharray.passing.collecting.collector_of`, of a pickler of loky.

    None if it is not one that is written in C.
    """
    if not issubclass(pickler, pickle.Pickler):
        return None

    class Collector(pickler):  # type: ignore[misc]  # any class
        def __init__(self, reducers: Any, file: Any, sources: Sources) -> None:
            super().__init__(file, reducers=reducers, protocol=5)
            # loky's own cannot be told of a callback.
            pickle.Pickler.__init__(self, file, 5, buffer_callback=sources.take)
            self._sources = sources

        def reducer_override(self, obj: Any) -> Any:
            """Arrays, unless they are mapped, or arguments that joblib maps."""
            if isinstance(obj, np.ndarray):
                other = self.dispatch_table.get(type(obj))
                if other is None or (
                    getattr(other, "__name__", "") == _FOR_RESULTS
                    and not _is_mapped(obj)
                ):
                    return self._sources.reduce(obj)
            return super().reducer_override(obj)

    return Collector


def _is_mapped(array: Any) -> bool:
    """Whether the memory of an array is that of a file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None
