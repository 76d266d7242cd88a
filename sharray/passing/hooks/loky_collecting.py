"""Pickle messages of loky, and set the memory of their arrays aside."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...arrays.views import shared_view
from ..wire.collecting import Sources, has_buffers

# joblib's reducer of arrays in results.
_FOR_RESULTS = "reduce_array_memmap_backward"


@functools.cache
def collector_of(pickler: Any) -> Any:
    """Return a pickler class like `wire.collecting.collector_of`, for loky's pickler.

    loky's pickler is a subclass of the one that loky was configured with, by default
    cloudpickle's.
    """
    # The standard library's pickler has no `reducer_override`.
    inherited = getattr(pickler, "reducer_override", None)

    class Collector(pickler):  # type: ignore[misc]  # any class
        def __init__(self, reducers: Any, file: Any, sources: Sources) -> None:
            super().__init__(file, reducers=reducers, protocol=None)
            self._sources = sources

        def reducer_override(self, obj: Any) -> Any:
            """Set arrays aside, unless they are mapped, or joblib would map them."""
            found = NotImplemented
            kind = type(obj)
            if isinstance(obj, np.ndarray):
                if not _is_for_joblib(obj, self.dispatch_table.get(kind)):
                    found = self._sources.reduce(obj)
            elif has_buffers(kind) and kind not in self.dispatch_table:
                found = self._sources.reduce_buffers(obj)
            if found is NotImplemented and inherited is not None:
                return inherited(self, obj)
            return found

    return Collector


def _is_for_joblib(array: Any, reducer: Any) -> bool:
    """Return whether the registered reducer does more than pickle an array's values."""
    if reducer is None:
        return False
    if getattr(reducer, "__name__", "") != _FOR_RESULTS:
        # joblib writes larger arrays to a file that all tasks map; None for no limit.
        limit = getattr(reducer, "_max_nbytes", 0)
        if limit is not None and array.nbytes > limit:
            return True
        # Views of shared arrays reach workers without a copy.
        if shared_view(array) is not None:
            return True
    return _is_mapped(array)


def _is_mapped(array: Any) -> bool:
    """Return whether the memory of an array is a mapped file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None
