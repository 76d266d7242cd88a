"""multiprocessing, and packages that are copies of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from ...storage.messages.returning import Returning
from ..joining import Starting
from ..options import State
from ..reach import FAR, NAMED, reach_of
from ..wire import light
from ..wire.delivering import (
    Message,
    Parcel,
    Relaying,
    Written,
    dumps,
    hooked_get,
    hooked_put,
    is_written,
)
from .declaration import Hooks
from .patches import Replacement

Write = Callable[..., Message]


def replacements_in(package: str) -> Iterator[Replacement]:
    """Replace the functions that pickle, send and start processes.

    Parameters
    ----------
    package : str
        ``multiprocessing``, or a package that is a copy of it.
    """
    connection = import_module(f"{package}.connection").Connection
    process = import_module(f"{package}.process").BaseProcess
    queues: Any = import_module(f"{package}.queues")
    reduction: Any = import_module(f"{package}.reduction")
    pickler = reduction.ForkingPickler
    write_message = functools.partial(
        light.write,
        pickle=pickler.dumps,
        collector=functools.partial(_collector_of, pickler),
    )

    def with_write(hook: Callable[..., Any]) -> Callable[[Any], Any]:
        return functools.partial(hook, write=write_message)

    yield Replacement(connection, "send", with_write(_hooked_send))
    yield Replacement(connection, "send_bytes", _hooked_send_bytes)
    yield Replacement(queues, "_ForkingPickler", with_write(_hooked_pickler))
    yield Replacement(queues.SimpleQueue, "put", hooked_put)
    yield Replacement(queues.SimpleQueue, "get", hooked_get)
    yield Replacement(queues.Queue, "get", hooked_get)
    yield Replacement(
        reduction,
        "dump",
        functools.partial(_hooked_dump, write=write_message, process=process),
    )
    yield Replacement(process, "join", _hooked_join)


@functools.cache
def _collector_of(pickler: Any) -> Any:
    """Return `sharray.passing.wire.collecting.collector_of`, which needs NumPy."""
    return import_module("sharray.passing.wire.collecting").collector_of(pickler)


def _hooked_send(original: Any, *, write: Write) -> Any:
    """Return a replacement of `Connection.send`, for pipes, pools and managers."""

    @functools.wraps(original)
    def send(self: Any, obj: Any) -> None:
        Relaying.send_waiting()
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


def _transmit(connection: Any, message: Message) -> None:
    message.transmit(connection, connection._send_bytes)


def _hooked_send_bytes(original: Any) -> Any:
    """Return a replacement of `Connection.send_bytes`.

    Queues send the bytes of their pickler with it. Other programs may send bytes on
    that they have received.
    """

    @functools.wraps(original)
    def send_bytes(self: Any, buf: Any, *arguments: Any, **more: Any) -> None:
        if not arguments and not more:  # not only a part of the bytes
            if type(buf) is Written:
                transmit = functools.partial(original, self)
                if buf.parcel.send(self, transmit):
                    return
            if State.options is not None:
                buf = light.with_values(buf)
        original(self, buf, *arguments, **more)

    return send_bytes


def _hooked_pickler(original: Any, *, write: Write) -> Any:
    """Return a replacement of the pickler of queues."""

    class MessagePickler(original):  # type: ignore[misc]  # known at run time only
        @classmethod
        def dumps(cls, obj: Any, protocol: int | None = None) -> bytes:
            options = State.options
            is_plain = options is None and not is_written(obj)
            if is_plain or protocol is not None:
                plain: bytes = super().dumps(obj, protocol)
                return plain
            return dumps(obj, options, write)

    return MessagePickler


def _hooked_dump(original: Any, *, write: Write, process: type) -> Any:
    """Return a replacement of `reduction.dump`, which pickles a new process."""

    @functools.wraps(original)
    def dump(obj: Any, file: Any, *arguments: Any, **more: Any) -> None:
        options = State.options
        if options is None or arguments or more:
            original(obj, file, *arguments, **more)
            return
        if isinstance(obj, process):
            obj = Starting(obj, options)
        with Parcel(obj) as parcel:
            file.write(write(obj, options, parcel.keep).data)

    return dump


def _hooked_join(original: Any) -> Any:
    """Return a replacement of `Process.join`, which drops files of ended senders."""

    @functools.wraps(original)
    def join(self: Any, timeout: float | None = None) -> None:
        original(self, timeout)
        Returning.drop_orphans()

    return join


HOOKS = Hooks(
    package="multiprocessing",
    used_if="multiprocessing.reduction",
    replacements=functools.partial(replacements_in, "multiprocessing"),
    processes="multiprocessing.process",
)
