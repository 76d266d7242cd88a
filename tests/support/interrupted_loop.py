"""A process that sends and receives arrays, interrupted at random moments.

The argument is the number of interrupts. The process fails if sending or receiving no
longer works after them.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
from typing import Any

import numpy as np
from belongings import belongings

import sharray as sh
from sharray.storage.messages import inbox, outbox
from sharray.system import clock, interrupts

_inside = threading.Semaphore(0)


def main(wanted: int) -> None:
    """Exchange arrays until `number` interrupts have arrived."""
    sh.install(threshold=0)
    forget_all()
    before = belongings()
    thread = threading.Thread(target=interrupt, args=(wanted,))
    thread.start()
    while thread.is_alive():
        try:
            _inside.release()
            # Sending looks for messages in closed pipes every five seconds only. By
            # then it may have lost so many that the next goes through the pipe, which
            # has no room for it, and no reader but this thread.
            forget_all()
            exchange_many()
        except (KeyboardInterrupt, OSError):
            pass
    exchange_many()
    forget_all()
    after = belongings()
    assert after == before, (before, after)


def interrupt(times: int) -> None:
    """Interrupt the main thread now and then."""
    for _ in range(times):
        _inside.acquire()
        clock.sleep(random.uniform(0, 0.01))
        os.kill(os.getpid(), signal.SIGINT)


def exchange_many() -> None:
    """Send and receive arrays of many values and sizes."""
    # multiprocessing itself leaves descriptors open when interrupted.
    with interrupts.deferred():
        reader, writer = multiprocessing.Pipe(False)
    try:
        for number in range(100):
            exchange(reader, writer, number)
    finally:
        with interrupts.deferred():
            reader.close()
            writer.close()


def exchange(reader: Any, writer: Any, number: int) -> None:
    """Send and receive an array."""
    sent = np.arange(5000 + 40_000 * (number % 2)) + number
    writer.send(sent)
    if not np.array_equal(reader.recv(), sent):
        raise AssertionError("wrong values")


def forget_all() -> None:
    """Close the files that are kept for the next messages."""
    outbox.trim()
    inbox.drop_orphans()


if __name__ == "__main__":
    main(int(sys.argv[1]))
