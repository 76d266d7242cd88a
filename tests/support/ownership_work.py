"""Tasks that end workers, use other channels, or change what is installed."""

from __future__ import annotations

import collections
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import ownership_tasks as tasks
from ownership_late import Pickles, Zeroes

import sharray as sh

_kept: collections.deque[Any] = collections.deque(maxlen=5)
_initial: list[Any] = []
_channel: list[Any] = []
_race: list[Any] = []


# -- ends ----------------------------------------------------------------------


def kill_self() -> None:
    """End the worker by a signal."""
    os.kill(os.getpid(), signal.SIGKILL)


def exit_self() -> None:
    """End the worker from Python, where its pool lets it."""
    sys.exit(3)


def exit_at_once() -> None:
    """End the worker without any cleaning up."""
    os._exit(0)


# -- arrays that the worker has from its initializer -----------------------------


def begin_with(*arrays: Any) -> None:
    """Keep the arguments of the initializer."""
    _initial[:] = arrays


def return_initial() -> Any:
    """Return an array of the initializer."""
    return _initial[0]


def increase_initial() -> Any:
    """Change an array of the initializer, and return parts of it."""
    _initial[0] += 1
    return _initial[0][5:], _initial[0]


def take_initial(a: Any) -> Any:
    """Replace the array of the initializer by the argument, and return both."""
    before = _initial.pop()
    _initial.append(a)
    return before, a


# -- other channels ------------------------------------------------------------


def open_channel(channel: Any) -> None:
    """Keep a queue or a pipe for further tasks."""
    _channel[:] = [channel]


def _send(a: Any) -> None:
    channel = _channel[0]
    (channel.put if hasattr(channel, "put") else channel.send)(a)


class Sends(Zeroes):
    """An object that sends its array when it dies."""

    def __del__(self) -> None:
        self._array += 1
        _send(self._array)


def send_and_return(a: Any) -> Any:
    """Send an array by the channel, and return it."""
    _send(a)
    return a


def send_change_and_return(a: Any) -> Any:
    """Send an array by a channel that pickles at once, change it, and return it."""
    _send(a)
    a *= 2
    return a[5:], a


def return_then_send(a: Any) -> Any:
    """Return an array, and send it when the result dies, after a change."""
    return a, Sends(a)


def append_and_return(shelf: Any, a: Any) -> Any:
    """Append an array to a manager's list, change it, and return it."""
    shelf.append(a)
    a += 1
    return a


def through_inner_pool(a: Any) -> Any:
    """Return what an inner pool returns for an array, and the array."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as inner:
        first = inner.submit(tasks.do, "three quarters", a).result()
        second = inner.submit(tasks.do, "increased", first).result()
        first *= 2
    return first, second, a


# -- what is installed -----------------------------------------------------------


def uninstall(a: Any) -> Any:
    """Return an array by plain pickle."""
    sh.uninstall()
    return a, a[5:]


def install(a: Any) -> Any:
    """Return an array with other options."""
    sh.install(threshold=1000)
    return a, a[5:]


def install_without_memory(a: Any) -> Any:
    """Return an array with no memory for copies."""
    sh.install(budget=1)
    return a[5:], a


class Uninstalls(Zeroes):
    """An object that uninstalls when it dies."""

    def __del__(self) -> None:
        sh.uninstall()
        super().__del__()


def uninstall_after_result(a: Any) -> Any:
    """Return an array, and uninstall once it is sent."""
    return a, Uninstalls(a)


def uninstall_while_pickling(a: Any) -> Any:
    """Return an array, and uninstall while it is pickled."""
    return a[5:], Pickles(lambda _: sh.uninstall(), a), a


# -- a thread that writes all the time -------------------------------------------


def begin_race(a: Any) -> Any:
    """Return an array to which a thread writes 1, 2, 3 and so on."""
    sys.setswitchinterval(1e-6)
    stop = threading.Event()
    last = [0]

    def write() -> None:
        while not stop.is_set():
            last[0] += 1
            a.fill(last[0])

    thread = threading.Thread(target=write)
    _race[:] = thread, stop, last
    thread.start()
    return a


def end_race() -> int:
    """Stop the thread; return the last number that it wrote."""
    thread, stop, last = _race
    stop.set()
    thread.join()
    _race.clear()
    sys.setswitchinterval(5e-3)
    return last[0]


# -- some arrays kept, others not -------------------------------------------------


def do_and_keep(name: str, kind: int, *arrays: Any) -> Any:
    """Return the result of a task; keep an array, a part of it, or the result.

    Zero the kept arrays, sometimes, before a new one is kept.
    """
    if kind % 3 == 0:
        for array in _kept:
            if array.flags.writeable:
                np.copyto(array, np.zeros((), array.dtype))
    result = tasks.do(name, *arrays)
    if kind < 3:
        _kept.append(arrays[-1])
    elif kind < 5:
        _kept.append(arrays[0][5:])
    elif kind < 7 and type(result) is type(arrays[0]) and not result.dtype.hasobject:
        _kept.append(result)
    return result
