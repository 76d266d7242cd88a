"""loky, and joblib's copy of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from ..joining import Starting
from ..options import State
from ..wire import light
from ..wire.delivering import dumps, hooked_put, is_written
from .declaration import Hooks
from .patches import Replacement


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
        is_plain = options is None and not is_written(obj)
        if is_plain or protocol is not None:
            plain: bytes = original(obj, reducers, protocol)
            return plain

        def collector() -> Any:
            module = import_module("sharray.passing.hooks.loky_collecting")
            kind = module.collector_of(reduction.get_loky_pickler())
            return functools.partial(kind, reducers or {})

        def pickle(obj: Any) -> Any:
            return original(obj, reducers, protocol)

        write = functools.partial(light.write, pickle=pickle, collector=collector)
        return dumps(obj, options, write)

    return dumps_message


def _hooked_dump(original: Any, *, process: type) -> Any:
    """Return a replacement of `reduction.dump`, which pickles a new process."""

    @functools.wraps(original)
    def dump(obj: Any, *arguments: Any, **more: Any) -> None:
        if State.options is not None and isinstance(obj, process):
            obj = Starting(obj, State.options)
        original(obj, *arguments, **more)

    return dump


HOOKS = Hooks(
    package="loky",
    used_if="loky.backend.queues",
    replacements=functools.partial(replacements_in, "loky"),
    processes="multiprocessing.process",
)
