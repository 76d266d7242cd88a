"""Who may be at the other end of a connection."""

from __future__ import annotations

import os
import socket
import stat
from typing import Any

NEAR = "a pipe, between processes of one family"
NAMED = "a socket with a name, of this machine"
FAR = "a socket that may lead to another machine"


def reach_of(connection: Any) -> str:
    """`NEAR`, `NAMED` or `FAR`, for a `multiprocessing.connection.Connection`."""
    known = vars(connection).get("_sharray_reach")
    if known is None:
        known = connection._sharray_reach = _find_reach(connection.fileno())
    return str(known)


def _find_reach(fd: int) -> str:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return NEAR
    same = socket.socket(fileno=fd)  # not a copy: there may be no descriptor left
    try:
        if same.family != socket.AF_UNIX:
            return FAR
        return NAMED if same.getsockname() or same.getpeername() else NEAR
    finally:
        same.detach()
