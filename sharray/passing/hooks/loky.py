"""loky, and joblib's copy of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from ...array.views import shared_view
from ..joining import Starting
from ..options import State
from ..wire.collecting import Sources, has_buffers
from ..wire.delivering import dumps, hooked_put
from ..wire.sending import write
from .declaration import Hooks
from .patches import Replacement

# joblib's reducer of arrays in results.
_FOR_RESULTS = "reduce_array_memmap_backward"


def replacements_in(package: str) -> Iterator[Replacement]:
    """Replace the functions that pickle and start processes.

    Connections are those of multiprocessing. joblib still writes large arguments to
    files that all tasks map.

    Parameters
    ----------
    package : str
        ``loky``, or a copy of it within another package.
    """
    queues: Any = import_module(f"{package}.backend.queues")
    reduction: Any = import_module(f"{package}.backend.reduction")
    process = import_module("multiprocessing.process").BaseProcess
    yield Replacement(
        queues, "dumps", functools.partial(_hooked_dumps, reduction=reduction)
    )
    yield Replacement(queues.SimpleQueue, "put", hooked_put)
    yield Replacement(
        reduction, "dump", functools.partial(_hooked_dump, process=process)
    )


def _hooked_dumps(original: Any, *, reduction: Any) -> Any:
    """Return a replacement of the pickler of loky's queues."""

    @functools.wraps(original)
    def dumps_message(obj: Any, reducers: Any = None, protocol: Any = None) -> bytes:
        options = State.options
        if options is None or protocol is not None:
            plain: bytes = original(obj, reducers, protocol)
            return plain
        collector = _collector_of(reduction.get_loky_pickler())
        collect = functools.partial(collector, reducers or {})
        return dumps(obj, options, functools.partial(write, collector=collect))

    return dumps_message


def _hooked_dump(original: Any, *, process: type) -> Any:
    """Return a replacement of `reduction.dump`, which pickles a new process."""

    @functools.wraps(original)
    def dump(obj: Any, *arguments: Any, **more: Any) -> None:
        if State.options is not None and isinstance(obj, process):
            obj = Starting(obj, State.options)
        original(obj, *arguments, **more)

    return dump


@functools.cache
def _collector_of(pickler: Any) -> Any:
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


HOOKS = Hooks(
    package="loky",
    used_if="loky.backend.queues",
    replacements=functools.partial(replacements_in, "loky"),
    processes="multiprocessing.process",
)
