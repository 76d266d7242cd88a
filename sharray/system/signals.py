"""Signals: having Ctrl-C wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Handle a SIGINT that comes within only at the end.

    For C code that calls back into Python and drops what is raised there, Ctrl-C
    too. Signals are handled in the main thread alone; in others, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        # None: the handler was not installed by Python, and cannot be put back.
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if arrived:
            signal.raise_signal(signal.SIGINT)
