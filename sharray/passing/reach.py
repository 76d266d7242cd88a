"""The reach of a connection: which processes may be at its other end."""

from __future__ import annotations

import os
import socket
import stat
import struct
from typing import Any

from ..system import interrupts, marks

NEAR = "a pipe, between processes of one family"
NAMED = "a socket with a name, to a process that has sharray installed"
FAR = "a socket that may lead to another machine, or a process without sharray"

_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7)


def reach_of(connection: Any) -> str:
    """Return the reach of a connection: `NEAR`, `NAMED` or `FAR`."""
    known = vars(connection).get("_sharray_reach")
    if known is None:
        # An interrupt between making the second socket and `detach` would make it
        # close the connection's descriptor.
        with interrupts.deferred():
            known = connection._sharray_reach = _find_reach(connection.fileno())
    return str(known)


def _find_reach(fd: int) -> str:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return NEAR
    same = socket.socket(fileno=fd)  # not a duplicate: no descriptor may be left
    try:
        if same.family != socket.AF_UNIX:
            return FAR
        if not same.getsockname() and not same.getpeername():
            return NEAR
        return NAMED if _is_installed_in_peer(same) else FAR
    finally:
        same.detach()


def _is_installed_in_peer(connected: socket.socket) -> bool:
    """Return whether the peer belongs to this user, and has sharray installed."""
    if not hasattr(socket, "SO_PEERCRED"):
        return False
    found = connected.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
    )
    pid, user, _ = _CREDENTIALS.unpack(found)
    return user == os.geteuid() and marks.has_mark(pid)
