"""Pipes and sockets: their numbers, and waiting for them."""

from __future__ import annotations

import functools
import os
import select
import socket
import stat
import struct

from . import interrupts

# sock_diag(7): a request for one socket of AF_UNIX by its inode, and for its peer.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_SHOW_PEER = 4
_UNIX_DIAG_PEER = 2
_ALL_STATES = _NO_COOKIE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBHIIIII")
_ANSWER_SIZE = 16
_ATTRIBUTE = struct.Struct("=HH")


def channel_of(fd: int) -> int:
    """Return the inode number of the pipe, or of the socket at the other end.

    A process that can read what is written to `fd` has this inode open, so that
    `sharray.system.open_channels` lists it. Return 0 if the number is not known.
    """
    try:
        status = os.fstat(fd)
        if stat.S_ISFIFO(status.st_mode):
            return status.st_ino
        return _peer_of(status.st_ino) if stat.S_ISSOCK(status.st_mode) else 0
    except (AttributeError, OSError):
        return 0  # the platform has no such sockets, or no descriptor is left


@functools.lru_cache(maxsize=256)
def _peer_of(inode: int) -> int:
    """Return the inode number of the peer of an AF_UNIX socket."""
    request = _REQUEST.pack(
        socket.AF_UNIX, 0, 0, _ALL_STATES, inode, _SHOW_PEER, _NO_COOKIE, _NO_COOKIE
    )
    size = _HEADER.size + len(request)
    header = _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG
    ) as kernel:
        kernel.send(header + request)
        return _peer_in(kernel.recv(4096, socket.MSG_DONTWAIT))


def _peer_in(answer: bytes) -> int:
    size, kind, *_ = _HEADER.unpack_from(answer)
    position = _HEADER.size + _ANSWER_SIZE
    if kind != _SOCK_DIAG_BY_FAMILY or size > len(answer):
        return 0
    while position + _ATTRIBUTE.size <= size:
        length, name = _ATTRIBUTE.unpack_from(answer, position)
        if name == _UNIX_DIAG_PEER:
            return int.from_bytes(answer[position + 4 : position + 8], "little")
        position += max(4, -(-length // 4) * 4)
    return 0


def wait_for_room(fd: int) -> None:
    """Wait until a pipe or socket takes `select.PIPE_BUF` bytes; let signals in.

    The next write of up to that many bytes is complete and does not wait.
    """
    if not is_ready(fd, select.POLLOUT, 0):
        with interrupts.allowed():
            is_ready(fd, select.POLLOUT)


def is_ready(fd: int, event: int, seconds: float | None = None) -> bool:
    """Wait until a pipe or socket is ready; return False if the time is over.

    Parameters
    ----------
    fd : int
        Its descriptor.
    event : int
        `select.POLLIN` or `select.POLLOUT`. An error or the end counts as ready.
    seconds : float, optional
        Longest time to wait; by default, without end.
    """
    poll = select.poll()
    poll.register(fd, event)
    return any(poll.poll(1000 * one) for one in interrupts.slices(seconds))
