"""Messages between a team and one of its workers: pickles through a socket.

They are few: programs and segments that a worker does not know yet, and what its
kernel raised. Both ends belong to one program, and nobody else can open the socket.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

from ...system import clock

_LENGTH = struct.Struct("=Q")


class Channel:
    """One end of the connection.

    Attributes
    ----------
    in_doubt : bool
        Whether sending or receiving has not come to its end: after Ctrl-C, part of a
        message may be under way, or a message has been read and is lost.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.in_doubt = False

    def send(self, message: object) -> None:
        """Send a message.

        Raises
        ------
        OSError
            The other end is closed.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self.in_doubt = True
        self._connection.sendall(_LENGTH.pack(len(data)) + data)
        self.in_doubt = False

    def receive(self, timeout: float | None = None) -> Any:
        """Wait for a message.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        EOFError, ConnectionError
            The other end is closed.
        TimeoutError
            Nothing came in time.
        """
        deadline = None if timeout is None else clock.monotonic() + timeout
        self.in_doubt = True
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        message = pickle.loads(self._read(length, deadline))
        # Last: if Ctrl-C came before, nobody would know that the message was read.
        self.in_doubt = False
        return message

    def _read(self, count: int, deadline: float | None) -> bytes:
        data = bytearray()
        while len(data) < count:
            if deadline is not None:
                left = deadline - clock.monotonic()
                if left <= 0:
                    raise TimeoutError("no answer in time")
                self._connection.settimeout(left)
            part = self._connection.recv(min(count - len(data), 1 << 20))
            if not part:
                raise EOFError("the other end is closed")
            data += part
        self._connection.settimeout(None)
        return bytes(data)

    def close(self) -> None:
        """Close this end."""
        self._connection.close()
