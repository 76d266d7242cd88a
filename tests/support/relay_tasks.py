"""Tasks whose results lie in the memory of their arguments, and where these arrive."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh
from sharray.passing.options import Options
from sharray.passing.wire import relaying
from sharray.storage.messages import relay
from sharray.system import interrupts

kept: list[Any] = []


def came_back(array: Any) -> bool:
    """Return whether an array lies in a file in which this process sends."""
    found = relay.find(array.__array_interface__["data"][0], array.nbytes)
    return found is not None and found.is_from_here()


def nothing(*_: Any) -> None:
    """Import what relays results: that happens with the first result."""


def double(array: Any) -> Any:
    """Change an array in place, and return it."""
    array *= 2
    return array


def keep(array: Any) -> Any:
    """Keep what is returned."""
    kept.append(array)
    return array


def sums(_: Any = None) -> list[float]:
    """Return the sums of all that `keep` got."""
    return [float(array.sum()) for array in kept]


def in_a_cycle(array: Any) -> Any:
    """Return an array that only garbage collection frees."""
    gc.disable()
    cycle = [array]
    cycle.append(cycle)
    return array


def collect(_: Any = None) -> int:
    """Collect what `in_a_cycle` has left."""
    gc.enable()
    return gc.collect()


class Wiping:
    """An argument that overwrites its array with zeros when it is freed."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __del__(self) -> None:
        self.array[:] = 0


def unwrap(wiping: Wiping) -> Any:
    """Return the array of an object that is about to be freed."""
    return wiping.array


_write = threading.Event()
_written = threading.Event()


def overwrite_later(array: Any) -> Any:
    """Have a thread write zeros to a result once `overwrite_now` runs."""

    def overwrite() -> None:
        _write.wait()
        array[:] = 0
        _written.set()

    threading.Thread(target=overwrite, daemon=True).start()
    return array


def overwrite_now(_: Any = None) -> None:
    """Let the thread of `overwrite_later` write, and wait until it has."""
    _write.set()
    _written.wait()


class Forking:
    """An argument that forks when a worker frees it; the child tells its sum if asked.

    Parameters
    ----------
    array : ndarray
        The array.
    ask, answer : str
        Two named pipes.
    """

    def __init__(self, array: Any, ask: str, answer: str) -> None:
        self.array = array
        self._pipes = ask, answer
        self._maker = os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self._maker and os.fork() == 0:
            ask, answer = self._pipes
            Path(ask).read_bytes()
            Path(answer).write_text(str(self.array.sum()))
            os._exit(0)


class Uninstalling:
    """An argument that uninstalls when it is freed."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __del__(self) -> None:
        sh.uninstall()


def is_paused(_: Any = None) -> bool:
    """Return whether this worker copies its next results."""
    return relaying._pause > 0


def nearly_all(array: Any) -> Any:
    """Return a part of an array."""
    return array[2:]


def unaligned(array: Any) -> Any:
    """Return a part that begins between two elements."""
    return array.view("u1")[4:-4].view(array.dtype)


def halves(array: Any) -> tuple[Any, Any]:
    """Return two arrays that have no element in common."""
    half = len(array) // 2
    return array[:half], array[half:]


def overlapping(array: Any) -> tuple[Any, Any]:
    """Return two arrays that have most elements in common."""
    return array[2:], array[:-2]


def small_part(array: Any) -> Any:
    """Return a fifth of an array."""
    return array[: len(array) // 5]


def with_another(array: Any) -> tuple[Any, Any]:
    """Return an array of the argument, and a new one."""
    return array, np.ones_like(array)


def with_a_shared_one(array: Any, shared: Any) -> tuple[Any, Any]:
    """Return an ordinary array, and a shared one."""
    return array, shared


def every_other(array: Any) -> Any:
    """Return elements that are not contiguous."""
    return array[::2]


def pickle_what_waits(array: Any) -> str:
    """Pickle a result that waits as other packages would; return the error."""
    result = relaying.Relayed(None, None, array)  # type: ignore[arg-type]
    with interrupts.deferred():
        message = result.in_place([array], b"", Options())
    assert message is not None
    try:
        pickle.dumps(result)
    except pickle.PicklingError as error:
        return str(error)
    finally:
        with interrupts.deferred():
            message.outgoing.recall()  # type: ignore[union-attr]
    return ""


def double_and_die_at(array: Any, line: int) -> Any:
    """Change an array in place, and be killed at a later line of the library."""
    left = line

    def trace(frame: types.FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if "/sharray/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    array *= 2
    sys.settrace(trace)
    return array
