"""What stands in the place of multiprocessing's own functions."""

from __future__ import annotations

import functools
import sys
from collections.abc import Set
from importlib import import_module
from typing import Any

from ...storage.messages import inbox
from ...system import interrupts
from ..joining import Starting
from ..options import State
from ..reach import FAR, NAMED, reach_of
from ..wire.collecting import collector_of
from ..wire.sending import (
    Message,
    hooked_put,
    put,
    remember,
    send_written,
    with_values,
    write,
)
from .loky import LokyHooks
from .patches import Patches
from .users import UserHooks


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
        self._write = functools.partial(write, collector=collector_of(self._pickler))
        self._patches = Patches()

    def set(self) -> None:
        """Have messages written by `sharray.passing.wire.sending`."""
        patch = self._patches.patch
        patch(self._connection, "send", self._hooked_send)
        patch(self._connection, "send_bytes", _hooked_send_bytes)
        patch(self._queues, "_ForkingPickler", self._hooked_pickler)
        patch(self._queues.SimpleQueue, "put", hooked_put)
        patch(self._reduction, "dump", self._hooked_dump)
        patch(self._process, "join", _hooked_join)

    def remove(self) -> None:
        """Have all as it was."""
        self._patches.remove()

    def _hooked_send(self, original: Any) -> Any:
        """`Connection.send`: of pipes, pools, managers."""
        write = self._write

        @functools.wraps(original)
        def send(self: Any, obj: Any) -> None:
            options = State.options
            reach = reach_of(self)
            if options is None or reach == FAR:
                original(self, obj)
                return
            self._check_closed()
            self._check_writable()
            transmit = functools.partial(_transmit, self)
            write(obj, options, transmit, to_strangers=reach == NAMED)

        return send

    def _hooked_pickler(self, original: Any) -> Any:
        """The pickler of queues."""
        write = self._write

        class MessagePickler(original):  # type: ignore[misc]  # found late
            @classmethod
            def dumps(cls, obj: Any, protocol: int | None = None) -> bytes:
                options = State.options
                if options is None or protocol is not None:
                    plain: bytes = super().dumps(obj, protocol)
                    return plain
                return write(obj, options, remember).data

        return MessagePickler

    def _hooked_dump(self, original: Any) -> Any:
        """`reduction.dump`: what a new process is told, its arguments among it."""
        write, process = self._write, self._process

        @functools.wraps(original)
        def dump(obj: Any, file: Any, *arguments: Any, **more: Any) -> None:
            options = State.options
            if options is None or arguments or more:
                original(obj, file, *arguments, **more)
                return
            if isinstance(obj, process):
                obj = Starting(obj, options)
            put(lambda: file.write(write(obj, options, remember).data))

        return dump


def _transmit(connection: Any, message: Message) -> None:
    message.transmit(connection, connection._send_bytes)


def _hooked_send_bytes(original: Any) -> Any:
    """`Connection.send_bytes`: with it, queues send what their pickler has written.

    And others what they have received.
    """

    @functools.wraps(original)
    def send_bytes(self: Any, buf: Any, *arguments: Any, **more: Any) -> None:
        if not send_written(buf, self, functools.partial(original, self)):
            is_whole = State.options is not None and not arguments and not more
            original(self, with_values(buf) if is_whole else buf, *arguments, **more)

    return send_bytes


def _hooked_join(original: Any) -> Any:
    """`Process.join`: what came from a process that is gone waits for no more."""

    @functools.wraps(original)
    def join(self: Any, timeout: float | None = None) -> None:
        original(self, timeout)
        inbox.drop_orphans()

    return join


# With the module that tells whether it is imported.
_PACKAGES: dict[str, tuple[str, type[Hooks | LokyHooks | UserHooks]]] = {
    "os": ("path", UserHooks),
    "multiprocessing": ("reduction", Hooks),
    "multiprocess": ("reduction", Hooks),  # multiprocessing with dill
    "loky": ("backend.queues", LokyHooks),
    "joblib.externals.loky": ("backend.queues", LokyHooks),
}

# By package. Only those that are imported before `install`: importing joblib costs
# those who do not use it a tenth of a second.
_hooks: dict[str, Hooks | LokyHooks | UserHooks] = {}
_hooked: set[str] = set()


def hooked_packages() -> frozenset[str]:
    """The packages whose messages are written by `sharray.passing.wire.sending` now."""
    return frozenset(_hooked)


def set_hooks() -> None:
    """Have messages written by `sharray.passing.wire.sending` from now on."""
    loaded = {
        package
        for package, (module, _) in _PACKAGES.items()
        if package in _hooks or f"{package}.{module}" in sys.modules
    }
    set_hooks_of(_hooked | loaded)


def remove_hooks() -> None:
    """Restore all functions."""
    set_hooks_of(frozenset())


def set_hooks_of(packages: Set[str]) -> None:
    """Have the hooks of these packages, and of no others."""
    with interrupts.deferred():  # a hook that nobody knows of would stay for good
        for package in _hooked - packages:
            _hooks[package].remove()
            _hooked.discard(package)
        for package in packages:
            if package not in _hooks:
                _hooks[package] = _PACKAGES[package][1](package)
            _hooks[package].set()
            _hooked.add(package)
