"""The program of a fork server: forks workers that have imported everything.

Its process has no other thread, and runs nothing of the user. See `fork_server`.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import random
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from ...native import machine_code
from ...system import processes, siblings
from . import main as worker

READY = "ready"
LONGEST_REQUEST = 1 << 12
ROOM = 512  # bytes of the command line for the words of a worker
_DESCRIPTORS = 4
_ARGUMENTS = 48, 50  # fields of /proc/self/stat: begin and end of the command line
_STANDARD = 1, 2  # output and error


class Request(NamedTuple):
    """A worker to fork.

    Attributes
    ----------
    words : list of bytes
        Arguments that tell people which worker it is.
    variables : dict
        Variables of its environment that differ from those of the fork server; None
        for one that is not set.
    """

    words: list[bytes]
    variables: dict[str, str | None]


def main(fd: int, parent: int) -> None:
    """Fork workers until the parent closes the socket, or has ended.

    Each worker returns from here when its team has ended.

    Parameters
    ----------
    fd : int
        Inherited descriptor of the socket to the parent.
    parent : int
        Number of the parent, whose children the workers will be.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the team's process
    connection = socket.socket(fileno=fd)
    problem = _prepare()
    connection.send((problem or READY).encode())
    if problem:
        return
    control, channel = _serve(connection, parent)
    worker.main(control, channel, parent)


def _prepare() -> str:
    """Load what all workers need; return why this process cannot fork any."""
    machine_code.prepare()
    # The garbage collector was off until now: imports leave little garbage. Workers
    # never look through these objects, so that their pages stay shared.
    gc.freeze()
    gc.enable()
    return siblings.why_not()


def _serve(connection: socket.socket, parent: int) -> tuple[int, int]:
    """Fork workers; return in each of them, with its two descriptors."""
    watch = _watch(parent)
    poll = select.poll()
    for fd in (connection.fileno(), watch):
        if fd >= 0:
            poll.register(fd, select.POLLIN)
    while True:
        # Without a pidfd, look from time to time. A fork of the parent may keep the
        # socket open, so that its end does not close it.
        poll.poll(None if watch >= 0 else 200)
        if os.getppid() != parent:
            os._exit(0)
        try:
            message, descriptors, _, _ = socket.recv_fds(
                connection, LONGEST_REQUEST, _DESCRIPTORS, socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            continue
        if not message:
            os._exit(0)
        try:
            pid = siblings.fork()
        except OSError as error:
            pid = -(error.errno or 1)
        if pid == 0:
            connection.close()
            if watch >= 0:
                os.close(watch)
            _become_worker(pickle.loads(message), descriptors[2:])
            return descriptors[0], descriptors[1]
        for fd in descriptors:
            os.close(fd)
        with suppress(OSError):  # the parent has ended: seen in the next turn
            connection.send(str(pid).encode())


def _watch(parent: int) -> int:
    """Return a descriptor that can be read once the parent has ended; -1 if none."""
    try:
        return os.pidfd_open(parent)
    except (AttributeError, OSError):
        return -1


def _become_worker(request: Request, outputs: list[int]) -> None:
    """Make this process look like one that was started for the team."""
    os.setpgid(0, 0)  # Ctrl-C in a terminal is for the team's process only
    for fd, number in zip(outputs, _STANDARD, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    for name, value in request.variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    processes.found_family()
    _forget_random_numbers()
    sys.path_importer_cache.clear()  # directories may have changed since then
    sys.argv[1:] = [word.decode(errors="replace") for word in request.words]
    with suppress(OSError, ValueError):
        _rename(request.words)


def _forget_random_numbers() -> None:
    """Seed the generators that came with the fork from the system."""
    random.seed()
    if "numpy.random" in sys.modules:
        np.random.seed()


def _rename(words: list[bytes]) -> None:
    """Write the words of a worker over the last arguments in the command line."""
    with open("/proc/self/stat", "rb") as table:
        fields = table.read().rpartition(b")")[2].split()
    begin, end = (int(fields[number - 3]) for number in range(*_ARGUMENTS))
    tail = b"".join(word + b"\0" for word in words)
    size = min(end - begin, ROOM)
    if begin == 0 or len(tail) > size:
        return
    # The spaces belong to the argument before, so that the words are the last ones.
    ctypes.memmove(end - size, b"\0".join([b" " * (size - len(tail) - 1), tail]), size)
