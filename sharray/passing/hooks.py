"""What stands in the place of multiprocessing's own functions."""

from __future__ import annotations

import functools
import sys
from importlib import import_module
from typing import Any

from ..storage import inbox
from .collecting import collector_of
from .hooks_loky import LokyHooks
from .options import State
from .reach import FAR, NAMED, reach_of
from .sending import write
from .starting import Starting


class Hooks:
    """The hooks in multiprocessing, or in a package that is made like it.

    Parameters
    ----------
    package : str
        Its name.
    """

    def __init__(self, package: str) -> None:
        self._connection = import_module(f"{package}.connection").Connection
        self._process = import_module(f"{package}.process").BaseProcess
        self._queues: Any = import_module(f"{package}.queues")
        self._reduction: Any = import_module(f"{package}.reduction")
        self._pickler = self._reduction.ForkingPickler
        self._send = self._connection.send
        self._dump = self._reduction.dump
        self._join = self._process.join
        self._write = functools.partial(write, collector=collector_of(self._pickler))

    def set(self) -> None:
        """Have messages written by `sharray.passing.sending`."""
        self._connection.send = self._hooked_send()
        self._queues._ForkingPickler = self._hooked_pickler()
        self._reduction.dump = self._hooked_dump()
        self._process.join = self._hooked_join()

    def remove(self) -> None:
        """Have all as it was."""
        self._connection.send = self._send
        self._queues._ForkingPickler = self._pickler
        self._reduction.dump = self._dump
        self._process.join = self._join

    def _hooked_send(self) -> Any:
        """`Connection.send`: of pipes, pools, managers."""
        original, write = self._send, self._write

        @functools.wraps(original)
        def send(self: Any, obj: Any) -> None:
            options = State.options
            reach = reach_of(self)
            if options is None or reach == FAR:
                original(self, obj)
                return
            self._check_closed()
            self._check_writable()
            message = write(obj, options, to_strangers=reach == NAMED)
            try:
                self._send_bytes(message.data)
            except OSError:
                # After any other exception, it may have left as a whole.
                message.recall()
                raise

        return send

    def _hooked_pickler(self) -> Any:
        """The pickler of queues."""
        write = self._write

        class MessagePickler(self._pickler):  # type: ignore[misc, name-defined]  # found late
            @classmethod
            def dumps(cls, obj: Any, protocol: int | None = None) -> memoryview:
                options = State.options
                if options is None or protocol is not None:
                    plain: memoryview = super().dumps(obj, protocol)
                    return plain
                return write(obj, options).data

        return MessagePickler

    def _hooked_dump(self) -> Any:
        """`reduction.dump`: what a new process is told, its arguments among it."""
        original, write, process = self._dump, self._write, self._process

        @functools.wraps(original)
        def dump(obj: Any, file: Any, *arguments: Any, **more: Any) -> None:
            options = State.options
            if options is None or arguments or more:
                original(obj, file, *arguments, **more)
                return
            if isinstance(obj, process):
                obj = Starting(obj, options)
            message = write(obj, options)
            try:
                file.write(message.data)
            except OSError:
                message.recall()
                raise

        return dump

    def _hooked_join(self) -> Any:
        """`Process.join`: what came from a process that is gone waits for no more."""
        original = self._join

        @functools.wraps(original)
        def join(self: Any, timeout: float | None = None) -> None:
            original(self, timeout)
            inbox.drop_orphans()

        return join


# With the module that tells whether it is imported.
_PACKAGES: dict[str, tuple[str, type[Hooks | LokyHooks]]] = {
    "multiprocessing": ("reduction", Hooks),
    "multiprocess": ("reduction", Hooks),  # multiprocessing with dill
    "loky": ("backend.queues", LokyHooks),
    "joblib.externals.loky": ("backend.queues", LokyHooks),
}

# By package. Only those that are imported before `install`: importing joblib costs
# those who do not use it a tenth of a second.
_hooks: dict[str, Hooks | LokyHooks] = {}


def set_hooks() -> None:
    """Have messages written by `sharray.passing.sending` from now on."""
    for package, (module, kind) in _PACKAGES.items():
        if package in _hooks or f"{package}.{module}" in sys.modules:
            if package not in _hooks:
                _hooks[package] = kind(package)
            _hooks[package].set()


def remove_hooks() -> None:
    """Have all as it was."""
    for hooks in _hooks.values():
        hooks.remove()
