"""What stands in the place of multiprocessing's own functions."""

from __future__ import annotations

import os
import socket
import stat
from multiprocessing import connection, process, queues, reduction
from multiprocessing.connection import Connection
from typing import Any

from ..storage import inbox
from .options import Options, State
from .sending import write

_original_dump = reduction.dump
_original_join = process.BaseProcess.join
_original_pickler = reduction.ForkingPickler
_original_send = connection.Connection.send


def set_hooks() -> None:
    """Have multiprocessing's messages written by `sharray.passing.sending`."""
    _set(send, MessagePickler, dump, join)


def remove_hooks() -> None:
    """Have all as it was."""
    _set(_original_send, _original_pickler, _original_dump, _original_join)


def _set(send: Any, pickler: Any, dump: Any, join: Any) -> None:
    connection.Connection.send = send  # type: ignore[method-assign]
    queues._ForkingPickler = pickler  # type: ignore[attr-defined]
    reduction.dump = dump
    process.BaseProcess.join = join  # type: ignore[method-assign]


def send(self: Connection, obj: Any) -> None:
    """`Connection.send`: of pipes, pools, managers."""
    options = State.options
    reach = _reach(self)
    if options is None or reach is _FAR:
        _original_send(self, obj)
        return
    self._check_closed()  # type: ignore[attr-defined]
    self._check_writable()  # type: ignore[attr-defined]
    message = write(obj, options, to_strangers=reach is _NAMED)
    try:
        self._send_bytes(message.data)  # type: ignore[attr-defined]
    except BaseException:
        message.recall()
        raise


class MessagePickler(reduction.ForkingPickler):
    """The pickler of queues."""

    @classmethod
    def dumps(cls, obj: Any, protocol: int | None = None) -> memoryview:
        """The bytes of one message."""
        options = State.options
        if options is None or protocol is not None:
            return super().dumps(obj, protocol)
        return write(obj, options).data


def dump(obj: Any, file: Any, protocol: int | None = None) -> None:
    """`reduction.dump`: what a new process is told, its arguments among it."""
    options = State.options
    if options is None or protocol is not None:
        _original_dump(obj, file, protocol)
        return
    if isinstance(obj, process.BaseProcess):
        obj = _Installed(obj, options)
    message = write(obj, options)
    try:
        file.write(message.data)
    except BaseException:
        message.recall()
        raise


def join(self: Any, timeout: float | None = None) -> None:
    """`Process.join`: what came from a process that is gone waits for no more."""
    _original_join(self, timeout)
    inbox.drop_orphans()


class _Installed:
    """A process object that installs sharray in the process which unpickles it."""

    def __init__(self, started: process.BaseProcess, options: Options) -> None:
        self._started = started
        self._options = options

    def __reduce__(self) -> Any:
        return _install_and_start, (tuple(self._options), self._started)


def _install_and_start(options: tuple[int, int | None], started: Any) -> Any:
    # Late, as installing needs this module.
    from .installing import install_in_worker

    install_in_worker(Options(*options))
    return started


_NEAR = "a pipe, between processes of one family"
_NAMED = "a socket with a name, of this machine"
_FAR = "a socket that may lead to another machine"


def _reach(sender: Connection) -> str:
    """Who may be at the other end of a connection."""
    known = sender.__dict__.get("_sharray_reach")
    if known is None:
        known = sender.__dict__["_sharray_reach"] = _find_reach(sender.fileno())
    return str(known)


def _find_reach(fd: int) -> str:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return _NEAR
    other = socket.socket(fileno=os.dup(fd))
    with other:
        if other.family != socket.AF_UNIX:
            return _FAR
        return _NAMED if other.getsockname() or other.getpeername() else _NEAR
