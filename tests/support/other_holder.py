"""Another process that makes an array, holds it, and drops it when it is told to."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any

import sharray as sh

_fork = multiprocessing.get_context("fork")


def _hold(connection: Any, n: int, value: float) -> None:
    array: Any = sh.full(n, value)
    while True:
        order = connection.recv()
        if order == "handle":
            connection.send_bytes(ForkingPickler.dumps(array))
            continue
        if order == "drop":
            array = None
        elif order == "end":
            return
        else:
            array[:] = order
        connection.send("done")


class Holder:
    """The process, seen from here."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def handle(self) -> bytes:
        """Return a new handle of its array, pickled."""
        self._connection.send("handle")
        return bytes(self._connection.recv_bytes())

    def fill(self, value: float) -> None:
        """Let it fill its array."""
        self._tell(value)

    def drop(self) -> None:
        """Let it drop its array."""
        self._tell("drop")

    def _tell(self, order: Any) -> None:
        self._connection.send(order)
        assert self._connection.recv() == "done"


@contextmanager
def other_holder(n: int = 1000, value: float = 7.0) -> Iterator[Holder]:
    """Start the process, and end it after the block."""
    ours, theirs = _fork.Pipe()
    process = _fork.Process(target=_hold, args=(theirs, n, value))
    process.start()
    theirs.close()
    try:
        yield Holder(ours)
    finally:
        ours.send("end")
        ours.close()
        process.join()
    assert process.exitcode == 0
