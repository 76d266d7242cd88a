"""Signals that come too late to end a system call that waits.

CPython notes a signal, and looks for it at certain points. If one comes after such a
point, and before a call of C code sleeps, nothing wakes that call. So a trace function
notes SIGINT just before an instruction, without a signal of the system. If the
instruction calls C code that sleeps without limit, it sleeps for ever.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any


class _Tracer:
    """Note SIGINT before an instruction of some modules; `left` counts down to it."""

    def __init__(self, modules: tuple[ModuleType, ...], left: int) -> None:
        self._files = tuple(str(module.__file__) for module in modules)
        self.left = left
        # Unpacked, not called: CPython would find the signal after a call.
        self._note = map(_thread.interrupt_main, (signal.SIGINT,))

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace = self._within
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._within

    def _within(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                (_,) = self._note
        return self._within


def lose_each(call: Callable[[], object], *modules: ModuleType, moments: int) -> None:
    """Call a function that waits for ever, with a lost signal at each of its moments.

    Parameters
    ----------
    call : callable
        It must raise KeyboardInterrupt each time.
    *modules : module
        Whose instructions count.
    moments : int
        The number of instructions to try: those until it has waited a few times.
    """
    before = sys.gettrace()
    for moment in range(1, moments + 1):
        tracer = _Tracer(modules, moment)
        try:
            sys.settrace(tracer)
            call()
        except KeyboardInterrupt:
            assert tracer.left == 0, "there are fewer instructions"
        else:
            raise AssertionError(f"instruction {moment}: the signal was lost")
        finally:
            sys.settrace(before)


@contextmanager
def another_thread_inside(
    act: Callable[[Callable[[], object]], object],
) -> Iterator[None]:
    """Call a function in another thread; its argument waits until the block ends."""

    def wait() -> None:
        begun.set()
        done.wait()

    begun, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=act, args=(wait,))
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        done.set()
        thread.join()
