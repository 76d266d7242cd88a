"""Death at a chosen moment: at the n-th system call, or at the n-th line."""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any

from sharray.system import directories, files, locks, memory, remapping

MOMENTS = ["before", "after", "line"]
# What only reads or computes would be many steps more that all leave the same.
_CHANGING = {
    f"sharray.{name}"
    for name in (
        "storage.attaching",
        "storage.ending",
        "storage.kept",
        "storage.lifetime.lease",
        "storage.making",
        "storage.naming",
        "storage.new_file",
        "storage.publishing",
        "storage.replacing",
        "storage.segment",
        "storage.lifetime.transit",
        "system.files",
        "system.memory",
        "system.remapping",
    )
}


class Countdown:
    """A counter that kills this process after a number of calls."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> None:
        """Count a step."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def die_at(moment: str, n: int) -> None:
    """Make this process die at its n-th step from now on.

    Parameters
    ----------
    moment : {'before', 'after', 'line'}
        A step is a call of a function of `sharray.system`, and death comes before
        or after it; or it is a line that runs for the first time, and death comes
        before it: also between stores to shared memory.
    n : int
        Counted from 1.
    """
    countdown = Countdown(n)
    if moment == "line":
        sys.settrace(functools.partial(_trace, countdown, set()))
        return
    for module, name, function in system_functions():
        setattr(module, name, _counted(function, moment, countdown))


def system_functions() -> Iterator[tuple[ModuleType, str, Callable[..., Any]]]:
    """Yield every function of the library that calls the operating system."""
    for module in directories, files, locks, memory, remapping:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if not name.startswith("_") and function.__module__ == module.__name__:
                yield module, name, function


def _counted(
    function: Callable[..., Any], moment: str, countdown: Countdown
) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if moment == "before":
            countdown()
        try:
            return function(*args, **kwargs)
        finally:
            if moment == "after":
                countdown()

    return call


def _trace(
    countdown: Countdown,
    known: set[tuple[CodeType, int]],
    frame: FrameType,
    event: str,
    _: Any,
) -> Any:
    if frame.f_globals.get("__name__") not in _CHANGING:
        return None
    line = frame.f_code, frame.f_lineno
    if event == "line" and line not in known:
        known.add(line)
        countdown()
    return functools.partial(_trace, countdown, known)
