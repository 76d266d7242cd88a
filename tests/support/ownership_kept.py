"""Ways in which a function may keep an array for later tasks."""

from __future__ import annotations

import contextvars
import ctypes
import functools
import gc
import multiprocessing.util
import pickle
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from passing_objects import Node, Noted

KEPT: dict[str, Any] = {}
_local = threading.local()
_variable: contextvars.ContextVar[Any] = contextvars.ContextVar("kept")


class Owner:
    """An object that weak references and finalizers can refer to."""


def _flat(a: Any) -> Any:
    return a.ravel("K")


def _in_closure(a: Any) -> Any:
    return lambda: a


def _in_default(a: Any) -> Any:
    def function(array: Any = a) -> Any:
        return array

    return function


def _in_cache(a: Any) -> Any:
    holder = [a]

    @functools.lru_cache
    def cached(_: int) -> Any:
        return holder.pop()

    cached(1)
    return cached


def _in_thread_local(a: Any) -> Any:
    _local.array = a
    return _local


def _in_generator(a: Any) -> Any:
    def generate() -> Any:
        while True:
            yield a

    running = generate()
    next(running)
    return running


def _in_coroutine(a: Any) -> Any:
    async def wait(array: Any) -> Any:
        return array

    return wait(a)


def _in_frame(a: Any) -> Any:
    return sys._getframe()


def _in_exception(a: Any) -> Any:
    try:
        raise LookupError
    except LookupError as error:
        return error


def _array_of_exception(error: Any) -> Any:
    return error.__traceback__.tb_frame.f_locals["a"]


def _in_cycle_without_gc(a: Any) -> Any:
    gc.disable()
    reference = weakref.ref(node := Node(a))
    del node  # only the cycle itself holds it
    return reference


def _in_cycle(a: Any) -> Any:
    return Node(a)


def _in_finalizer(a: Any) -> Any:
    owner = Owner()
    return owner, weakref.finalize(owner, a.fill, 0)


def _until_exit(a: Any) -> Any:
    # A worker of multiprocessing calls this when it ends.
    return multiprocessing.util.Finalize(None, a.fill, (0,), exitpriority=10)


def _in_queue(a: Any) -> Any:
    waiting: Any = queue.SimpleQueue()
    waiting.put(a)
    return waiting


def _array_of_queue(waiting: Any) -> Any:
    found = waiting.get()
    waiting.put(found)
    return found


def _in_type(a: Any) -> Any:
    return type("Holder", (), {"array": a})


def _itself(a: Any) -> Any:
    return a


class Way(NamedTuple):
    """A way to keep an array, and to find it again."""

    keep: Callable[[Any], Any]
    find: Callable[[Any], Any] = _itself


WAYS: dict[str, Way] = {
    "itself": Way(_itself),
    "view": Way(lambda a: a[1:]),
    "one row": Way(lambda a: a[5]),
    "bytes of it": Way(lambda a: _flat(a).view("u1"), lambda h: h.view(float)),
    "transposed": Way(lambda a: a.T),
    "subclass": Way(lambda a: Noted(a, "note"), np.asarray),
    "masked": Way(lambda a: np.ma.array(a, copy=False), lambda h: h.data),
    "list": Way(lambda a: [a], lambda h: h[0]),
    "objects": Way(lambda a: np.array([a, None], object), lambda h: h[0]),
    "frame of pandas": Way(lambda a: pd.DataFrame(a, copy=False), np.array),
    "closure": Way(_in_closure, lambda h: h()),
    "default argument": Way(_in_default, lambda h: h()),
    "partial": Way(lambda a: functools.partial(_itself, a), lambda h: h()),
    "bound method": Way(lambda a: a.fill, lambda h: h.__self__),
    "cache": Way(_in_cache, lambda h: h(1)),
    "type": Way(_in_type, lambda h: h.array),
    "thread local": Way(_in_thread_local, lambda h: h.array),
    "context": Way(_variable.set, lambda h: h.var.get()),
    "generator": Way(_in_generator, next),
    "coroutine": Way(_in_coroutine, lambda h: h.cr_frame.f_locals["array"]),
    "frame": Way(_in_frame, lambda h: h.f_locals["a"]),
    "exception": Way(_in_exception, _array_of_exception),
    "cycle": Way(_in_cycle, lambda h: h.value),
    "cycle without gc": Way(_in_cycle_without_gc, lambda h: h().value),
    "finalizer": Way(_in_finalizer, lambda h: h[1].peek()[1].__self__),
    "queue": Way(_in_queue, _array_of_queue),
    "iterator": Way(lambda a: a.flat, lambda h: h.base),
    "nditer": Way(np.nditer, lambda h: h.operands[0][...]),
    "memoryview": Way(memoryview, np.asarray),
    "cast memoryview": Way(
        lambda a: memoryview(_flat(a)).cast("B"), lambda h: np.frombuffer(h)
    ),
    "released memoryview": Way(
        lambda a: memoryview(memoryview(a)[:]), lambda h: np.asarray(h)
    ),
    "PickleBuffer": Way(pickle.PickleBuffer, lambda h: np.asarray(memoryview(h))),
    "frombuffer": Way(lambda a: np.frombuffer(_flat(a))),
    "ctypes": Way(
        lambda a: np.ctypeslib.as_ctypes(_flat(a)), lambda h: np.ctypeslib.as_array(h)
    ),
    "ctypes from buffer": Way(
        lambda a: (ctypes.c_double * a.size).from_buffer(_flat(a)), np.frombuffer
    ),
    "dlpack": Way(np.from_dlpack),
    "strided": Way(lambda a: np.lib.stride_tricks.as_strided(a, a.shape, a.strides)),
    # Last: it is about results that are there when the worker ends.
    "until exit": Way(_until_exit, lambda h: h._callback.__self__),
}


def keep(name: str, a: Any) -> None:
    """Keep an array."""
    KEPT[name] = WAYS[name].keep(a)


def recall(name: str) -> Any:
    """Return a kept array."""
    return WAYS[name].find(KEPT[name])


def recall_part(name: str) -> Any:
    """Return a part of a kept array, twice."""
    found = recall(name)
    return found[: len(found) // 2], found[: len(found) // 2]


def increase(name: str) -> None:
    """Change a kept array in place."""
    found = recall(name)
    if isinstance(found, np.ndarray) and found.flags.writeable:
        found += 1


def forget(name: str) -> None:
    """Drop a kept array; its finalizer, if it has one, zeroes it."""
    holder = KEPT.pop(name)
    if name == "context":
        _variable.reset(holder)
    elif name == "thread local":
        del _local.array
    elif name == "coroutine":
        holder.close()  # else Python warns that nobody waited for it
    elif name == "cycle without gc":
        gc.enable()
        gc.collect()
    elif name == "until exit":
        KEPT[name] = holder  # stays until the worker ends


def forget_and_return(name: str) -> Any:
    """Return a kept array that nothing else holds any more."""
    found = recall(name)
    forget(name)
    return found
