"""Tasks that leave something behind, which writes to the argument later.

Each is followed by other tasks, which let it write, and wait until it has.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

_left: dict[str, Any] = {}  # by the task that finds it


class Zeroes:
    """An object that zeroes an array when it dies; it arrives as a list."""

    def __init__(self, a: Any) -> None:
        self._array = a

    def __reduce__(self) -> Any:
        return list, ([self._array],)

    def __del__(self) -> None:
        self._array.fill(0)


class ZeroesInFork(Zeroes):
    """An object that lets a forked child zero an array when it dies."""

    def __del__(self) -> None:
        _finish_fork(_fork(self._array.fill, 0))


class ZeroesInThread(Zeroes):
    """An object that lets a thread zero an array when it dies."""

    def __del__(self) -> None:
        thread = threading.Thread(target=self._array.fill, args=(0,))
        thread.start()
        thread.join()


class ZeroesNext(Zeroes):
    """An object that, when it dies, hands its array to another such object."""

    def __init__(self, a: Any, times: int = 2) -> None:
        super().__init__(a)
        self._times = times

    def __del__(self) -> None:
        self._array += 1
        if self._times:
            ZeroesNext(self._array, self._times - 1)


class Rescues(Zeroes):
    """An object that saves its array when it dies."""

    def __del__(self) -> None:
        _left["rescued"] = self._array


class Ring(Zeroes):
    """An object that zeroes an array when its cycle is collected."""

    def __init__(self, a: Any) -> None:
        super().__init__(a)
        self._me = self


class Pickles:
    """An object that calls a function when it is pickled, and arrives as a list."""

    def __init__(self, function: Callable[[Any], Any], a: Any) -> None:
        self._function = function
        self._array = a

    def __reduce__(self) -> Any:
        self._function(self._array)
        return list, ([1, 2],)


class Carries:
    """An argument that zeroes its array when it dies in another process."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.home = os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.home:
            self.array.fill(0)


def _fork(function: Callable[..., Any], *arguments: Any) -> int:
    """Call a function in a forked child; return the child's number."""
    pid = os.fork()
    if pid == 0:
        try:
            function(*arguments)
        finally:
            os._exit(0)
    return pid


def _finish_fork(pid: int) -> None:
    os.waitpid(pid, 0)


def _wait_then_zero(reader: int, writer: int, a: Any) -> None:
    os.close(writer)  # so that the end of the parent ends this process, too
    if os.read(reader, 1):
        a.fill(0)


def fork_waits(a: Any) -> Any:
    """Leave a forked child that zeroes the argument later."""
    reader, writer = os.pipe()
    _left["fork"] = _fork(_wait_then_zero, reader, writer, a), reader, writer
    return a


def let_fork_zero() -> None:
    """Let the child zero its array."""
    pid, reader, writer = _left.pop("fork")
    os.write(writer, b".")
    _finish_fork(pid)
    os.close(reader)
    os.close(writer)


def fork_zeroes(a: Any) -> Any:
    """Let a forked child zero its copy at once."""
    _finish_fork(_fork(a.fill, 0))
    return a


def thread_waits(a: Any) -> Any:
    """Leave a thread that zeroes the argument later."""
    go = threading.Event()

    def wait_then_zero() -> None:
        go.wait()
        a.fill(0)

    thread = threading.Thread(target=wait_then_zero, daemon=True)
    thread.start()
    _left["thread"] = thread, go
    return a


def let_thread_zero() -> None:
    """Let the thread zero its array."""
    thread, go = _left.pop("thread")
    go.set()
    thread.join()


def zero_at_return(a: Any) -> Any:
    """Zero the argument when the function returns."""
    _ = Zeroes(a)
    return a


def finalize_at_return(a: Any) -> Any:
    """Zero the argument by a finalizer, before it is pickled."""
    weakref.finalize(lambda: None, a.fill, 0)
    return a


def finalize_with_result(a: Any) -> Any:
    """Zero the argument by a finalizer, when the result dies."""
    result = np.zeros(3)
    weakref.finalize(result, a.fill, 0)
    return a, result


def finalize_with_itself(a: Any) -> Any:
    """Zero the memory of the argument when the argument dies."""
    weakref.finalize(a, a[:].fill, 0)
    return a


def ring_without_gc(a: Any) -> Any:
    """Leave a cycle to the next collection."""
    gc.disable()
    Ring(a)
    return a


def collect() -> None:
    """Collect cycles."""
    gc.enable()
    gc.collect()


def locals_of_callers(a: Any) -> Any:
    """Keep the local variables of all callers, with the argument in some of them."""
    frame = sys._getframe()
    found = _left["locals"] = []
    while frame is not None:
        found.append(dict(frame.f_locals))
        frame = frame.f_back  # type: ignore[assignment]
    return a


def zero_locals() -> None:
    """Zero the arrays in the local variables that were kept."""
    for names in _left.pop("locals"):
        for value in names.values():
            found = value if isinstance(value, tuple | list) else [value]
            for array in found:
                if isinstance(array, np.ndarray) and array.flags.writeable:
                    array.fill(0)


def increase_rescued() -> Any:
    """Change the array that an object has saved, and return it."""
    array = _left.pop("rescued")
    array += 1
    return array


def weak(a: Any) -> Any:
    """Keep a weak reference."""
    _left["weak"] = weakref.ref(a)
    return a


def is_gone() -> bool:
    """Return whether the array of the weak reference is gone."""
    return _left.pop("weak")() is None


def keep_by_pickling(a: Any) -> None:
    """Keep an array from within the pickler."""
    _left["rescued"] = a


TASKS: dict[str, Callable[..., Any]] = {
    "zeroed at return": zero_at_return,
    "zeroed when the result dies": lambda a: (a, Zeroes(a)),
    "zeroed when its only holder dies": Zeroes,
    "zeroed by a fork when the result dies": lambda a: (a, ZeroesInFork(a)),
    "zeroed by a thread when the result dies": lambda a: (a, ZeroesInThread(a)),
    "changed by one dying object after the other": lambda a: (a, ZeroesNext(a)),
    "rescued when the result dies": lambda a: (a, Rescues(a)),
    "zeroed when the argument dies": lambda carrier: carrier.array,
    "zeroed by a finalizer at return": finalize_at_return,
    "zeroed by a finalizer of the result": finalize_with_result,
    "zeroed by its own finalizer": finalize_with_itself,
    "cycle without gc": ring_without_gc,
    "cycle": lambda a: (a, Ring(a)),
    "fork waits": fork_waits,
    "fork zeroes": fork_zeroes,
    "thread waits": thread_waits,
    "thread waits, part": lambda a: thread_waits(a)[: len(a) * 3 // 4],
    "locals of callers": locals_of_callers,
    "weak reference": weak,
    "changed by the pickler": lambda a: (Pickles(np.ndarray.sort, a[::-1]), a),
    "kept by the pickler": lambda a: (Pickles(keep_by_pickling, a), a),
    "kept by the pickler, part": lambda a: (a[5:], Pickles(keep_by_pickling, a)),
    "let the fork zero": let_fork_zero,
    "let the thread zero": let_thread_zero,
    "collect": collect,
    "zero the locals": zero_locals,
    "increase the rescued": increase_rescued,
    "is gone": is_gone,
}
# The tasks that follow; those that are not here have none.
NEXT = {
    "rescued when the result dies": ["increase the rescued"],
    "cycle without gc": ["collect"],
    "cycle": ["collect"],
    "fork waits": ["let the fork zero"],
    "thread waits": ["let the thread zero"],
    "thread waits, part": ["let the thread zero"],
    "locals of callers": ["zero the locals"],
    "weak reference": ["is gone"],
    "kept by the pickler": ["increase the rescued"],
    "kept by the pickler, part": ["increase the rescued"],
}
_STEPS = {step for steps in NEXT.values() for step in steps}
FIRST = [name for name in TASKS if name not in _STEPS]
