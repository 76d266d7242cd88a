"""dask.distributed: handles between processes of one host, values between hosts.

Two processes are on one host if they tell each other the same identity when they
connect. It consists of the boot of the kernel, the user, the file system at ``/`` and
the one of arrays in RAM. So two containers are two hosts. The scheduler, and the very
first connection of a process, send no identity. Then the address decides: it must
belong to this machine.

The scheduler passes messages on unread, and graphs in a form of its own. So a sender
cannot know where its data ends up. Only a cluster on loopback addresses is certain to
be on one machine. This has two limits, each of which ends in an `ArrayGoneError`:

- A client reaches such a scheduler through a tunnel from another machine, and gets
  handles that it cannot open. Gather with ``direct=True``, or send a copy.
- A worker of another host gets an array as an argument of `Client.run`, which dask
  pickles before it knows the receiver. Send a copy.
"""

from __future__ import annotations

import functools
import io
import ipaddress
import os
import socket
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from ..arrays.core import AnyArray, SharedArray
from ..arrays.handle import has_handle
from ..arrays.root import is_any_mapped
from ..storage import location

ENVIRONMENT_VARIABLE = "SHARRAY_HOST"
_HOST = "sharray-host"  # the key in the handshake of a connection
# Only dask's scheduler asks for this protocol. It passes on what it receives.
_SCHEDULERS_PROTOCOL = 4
# True while we serialize for a process that cannot open handles.
_by_value: ContextVar[bool] = ContextVar("sharray_by_value", default=False)


def register_with_distributed() -> None:
    """Make distributed send shared arrays as handles within one host."""
    from distributed.comm.core import Comm
    from distributed.protocol import pickle
    from distributed.protocol.serialize import (
        dask_dumps,
        dask_loads,
        dask_serialize,
        pickle_dumps,
        pickle_loads,
        register_serialization_family,
    )

    Comm.handshake_info = _with_host(Comm.handshake_info)
    pickle.dumps = _in_one_go(pickle.dumps)
    dask_serialize.register(SharedArray, serialize_array)
    register_serialization_family("dask", _for_recipient(dask_dumps), dask_loads)
    register_serialization_family("pickle", _for_recipient(pickle_dumps), pickle_loads)


def serialize_array(
    array: AnyArray, context: dict[str, Any] | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """Serialize the values of an array, unless a pickle with its handle will do."""
    from distributed.protocol.numpy import serialize_numpy_ndarray

    if has_handle(array.mode) and not _by_value.get():
        raise NotImplementedError  # this tells dask to pickle it
    found: tuple[dict[str, Any], list[Any]] = serialize_numpy_ndarray(
        np.asarray(array), context
    )
    return found


def _with_host(handshake_info: Any) -> Any:
    """Add the identity of this host to the handshake of each connection."""

    @functools.wraps(handshake_info)
    def say(self: Any) -> dict[str, Any]:
        return {**handshake_info(self), _HOST: host_identity()}

    return say


def _for_recipient(dumps: Any) -> Any:
    """Set `_by_value` while an object is serialized.

    A nested call may not know the recipient: dask serializes the parts of a sparse
    matrix without the context.
    """

    @functools.wraps(dumps)
    def serialize(obj: Any, context: dict[str, Any] | None = None) -> Any:
        # Programs without shared arrays keep dask's own behaviour.
        if not is_any_mapped():
            return dumps(obj, context=context)
        before = _by_value.get()
        by_value = before or not _stays_on_host(obj, context)
        try:
            # Inside `try`: an interrupt before it would send all later arrays by value.
            _by_value.set(by_value)
            return dumps(obj, context=context)
        finally:
            _by_value.set(before)

    return serialize


def _in_one_go(dumps: Any) -> Any:
    """Pickle an object that may hold shared arrays only once.

    distributed tries pickle first, then cloudpickle. But each attempt would make a
    handle, and an array is kept until each of its handles arrives. The handle of the
    first attempt never would.
    """

    @functools.wraps(dumps)
    def dump(obj: Any, *, buffer_callback: Any = None, protocol: Any = 5) -> Any:
        protocol = protocol or 5
        if not is_any_mapped():
            return dumps(obj, buffer_callback=buffer_callback, protocol=protocol)
        file = io.BytesIO()
        buffers: list[Any] = []
        aside = buffers.append if buffer_callback and protocol >= 5 else None
        pickler = _pickler()(file, protocol, aside)
        try:
            pickler.dump(obj)
        except Exception:
            # distributed can pickle a few more objects than cloudpickle.
            if pickler.has_copied:
                raise
            return dumps(obj, buffer_callback=buffer_callback, protocol=protocol)
        for buffer in buffers:
            buffer_callback(buffer)
        return file.getvalue()

    return dump


@functools.cache
def _pickler() -> Any:
    import cloudpickle

    # Some versions of cloudpickle have types, and others do not.
    class Pickler(cloudpickle.Pickler):  # type: ignore[misc, unused-ignore]
        def __init__(self, file: io.BytesIO, protocol: int, aside: Any) -> None:
            super().__init__(file, protocol, aside)
            self.by_value = _by_value.get()
            self.has_copied = False
            self.protocol = protocol

        def reducer_override(self, obj: Any) -> Any:
            if not self.by_value or not isinstance(obj, SharedArray):
                return super().reducer_override(obj)
            self.has_copied = True
            return np.asarray(obj).__reduce_ex__(self.protocol)

    return Pickler


# -- the identity of a host ----------------------------------------------------


def host_identity() -> str:
    """Return a text that is equal in processes that can open each other's handles.

    The environment variable ``SHARRAY_HOST`` overrides it. Processes with different
    values of the variable send each other values.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    return chosen or _host_identity(os.path.dirname(location.ram_directory()))


@functools.cache
def _host_identity(ram: str) -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        boot = socket.gethostname()
    top, memory = os.stat("/"), os.stat(ram)
    return f"{boot} {os.getuid()} {top.st_dev}:{top.st_ino} {memory.st_dev}"


def _stays_on_host(obj: Any, context: dict[str, Any] | None) -> bool:
    """Return whether every process that may read an object can open handles.

    Parameters
    ----------
    obj : object
        The object to pickle.
    context : dict or None
        The facts dask has on the connection. None for the disk, or for a graph.
    """
    if context is None:
        return not _is_graph(obj) or all(map(_is_loopback, _schedulers()))
    recipient = context.get("recipient") or {}
    address = recipient.get("address") or ""
    hands_on = recipient.get("pickle-protocol") == _SCHEDULERS_PROTOCOL
    if hands_on and not _is_loopback(address):
        return False
    host = recipient.get(_HOST)
    return _is_own(address) if host is None else bool(host == host_identity())


def _is_graph(obj: Any) -> bool:
    from dask._expr import Expr

    return isinstance(obj, Expr)


def _schedulers() -> list[str]:
    """Return the addresses of the schedulers of this process's clients."""
    from distributed import Client

    connected = [client.scheduler for client in list(Client._instances)]
    return [scheduler.address for scheduler in connected if scheduler is not None]


def _is_loopback(address: str) -> bool:
    """Return whether an address can only belong to this machine."""
    parts = urlsplit(address)
    if parts.scheme == "inproc":
        return True
    ip = _resolve(parts.hostname or "")
    return bool(ip) and ipaddress.ip_address(ip).is_loopback


def _is_own(address: str) -> bool:
    """Return whether an address belongs to this machine."""
    return _is_loopback(address) or _can_bind(
        _resolve(urlsplit(address).hostname or "")
    )


@functools.lru_cache(maxsize=256)
def _resolve(name: str) -> str:
    """Return the IP address of a host, or "" if there is no such host."""
    try:
        return str(socket.getaddrinfo(name, None)[0][4][0]) if name else ""
    except OSError:
        return ""


@functools.lru_cache(maxsize=256)
def _can_bind(ip: str) -> bool:
    if not ip:
        return False
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            return False
    return True
