"""Messages between a team and one of its workers: pickles through a socket.

Messages are rare: programs and segments that are new to a worker, and errors of its
kernel. Both ends belong to one program, and no other process can open the socket.

::

      team                                       worker
      greet: number, code of `serve`   ------->  load, read BELL and COMMANDS
                                       <-------  "ready"

      announce: in_doubt                         asleep, or inside a run
      add 1 to COMMANDS, ring
      request: a list of commands      ------->  carries out each
      (other workers meanwhile)        <-------  answers: an error or a value for each

                                                 its kernel raises: RAISED, CANCEL
                                       <-------  failure, by a thread if it is long;
                                                 only then the worker leaves the run
      run is over: reads it, RAISED = 0

A message is its length, in 8 bytes, and a pickle.

===========  ======================================================================
state        writer
===========  ======================================================================
COMMANDS     the team; SEEN in the worker follows
`in_doubt`   this end alone: true from before a message begins until it is complete
`_unread`    the team: number of lists of answers that it has not read yet
RAISED       the worker; the team clears it when it has read the failure
===========  ======================================================================

Invariants

- A worker reads one message for each step of COMMANDS, and answers it.
- The team reads unread answers before it reads a failure.
- A channel in doubt cannot be used any more: nobody knows where the next message
  begins. The team kills such a worker before the next run, and starts another one.

A process that is killed, or interrupted, leaves

===============================  ==================================================
step                             left behind
===============================  ==================================================
worker killed, at any step       a closed socket: `WorkerGone` here, and another
                                 worker, without programs and segments. A child of
                                 it may keep the socket open: so a wait for the
                                 worker also looks at its process
team killed, at any step         a closed socket: the worker ends
team interrupted, before the     a worker that waits for a message; `in_doubt` was
request                          set before the bell, so it is killed
team interrupted, in a message   the same
team interrupted, before it      answers that it reads before the next ones; the
has read the answers             worker gets the same program once more
===============================  ==================================================
"""

from __future__ import annotations

import pickle
import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...system import channels, clock

_LENGTH = struct.Struct("=Q")
# A socket takes this without waiting: net.core.wmem_default is 208 KiB.
_HAS_ROOM = 1 << 15
_LOOK_INTERVAL = 0.05


def _never() -> bool:
    return False


class Channel:
    """One end of the connection.

    Parameters
    ----------
    connection : socket.socket
        The socket.
    has_ended : callable, optional
        Return whether the process at the other end has ended.

    Attributes
    ----------
    in_doubt : bool
        Whether a message is incomplete. After Ctrl-C, part of a message may be on its
        way, or a message was read and is lost.
    """

    def __init__(
        self, connection: socket.socket, has_ended: Callable[[], bool] = _never
    ) -> None:
        self._connection = connection
        self._has_ended = has_ended
        self.in_doubt = False
        self._thread: threading.Thread | None = None

    def send(self, message: object) -> None:
        """Send a message.

        Raises
        ------
        OSError
            The other end is closed, or its process has ended.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._wait_for_thread()  # otherwise the two messages would mix
        # After pickling, which may raise before any byte is sent.
        self.in_doubt = True
        self._send_all(_LENGTH.pack(len(data)) + data)
        self.in_doubt = False

    def send_aside(self, message: object) -> None:
        """Send a message that the other end reads later; do not wait for that.

        The team reads failures after the run, and a worker leaves the run after this
        call. If the worker waited here for room in the socket, both would wait for
        ever.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if len(data) <= _HAS_ROOM:
            self.send(message)
            return
        self._wait_for_thread()
        data = _LENGTH.pack(len(data)) + data
        self._thread = threading.Thread(
            target=self._send_all_aside, args=(data,), daemon=True
        )
        self._thread.start()

    def _send_all_aside(self, data: bytes) -> None:
        with suppress(OSError):  # the other end is closed: `receive` notices it
            self._send_all(data)

    def _send_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._connection.send(rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                if not self._wait(select.POLLOUT):
                    raise BrokenPipeError("the other process has ended") from None

    def _wait_for_thread(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def receive(self, timeout: float | None = None) -> Any:
        """Wait for a message.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        EOFError, ConnectionError
            The other end is closed, or its process has ended.
        TimeoutError
            Nothing came in time.
        """
        deadline = None if timeout is None else clock.monotonic() + timeout
        self.in_doubt = True
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        message = pickle.loads(self._read(length, deadline))
        # Last: after Ctrl-C before this, the message is lost.
        self.in_doubt = False
        return message

    def _read(self, count: int, deadline: float | None) -> bytes:
        data, is_alive = bytearray(), True
        while len(data) < count:
            size = min(count - len(data), 1 << 20)
            try:
                part = self._connection.recv(size, socket.MSG_DONTWAIT)
            except BlockingIOError:
                # Only now: it may have sent this just before its end.
                if not is_alive:
                    raise EOFError("the other process has ended") from None
                is_alive = self._wait(select.POLLIN, deadline)
                continue
            if not part:
                raise EOFError("the other end is closed")
            data += part
        return bytes(data)

    def _wait(self, event: int, deadline: float | None = None) -> bool:
        """Wait until the socket is ready; return False if the other process ends."""
        fd = self._connection.fileno()
        while not channels.is_ready(fd, event, _LOOK_INTERVAL):
            if deadline is not None and clock.monotonic() > deadline:
                raise TimeoutError("no answer in time")
            if self._has_ended():
                return False
        return True

    def close(self) -> None:
        """Close this end."""
        self._connection.close()
