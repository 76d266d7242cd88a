"""dask and dask.distributed: arrays travel as handles, with nothing to configure.

When dask is imported, it finds `register` by the entry point ``dask.sizeof``. Programs
call only `to_dask` from this module.

How a `SharedArray`, or an object that holds some, travels:

====================================  ==========================================
way                                   sent as
====================================  ==========================================
worker to worker                      a handle on one host, else the values
client to worker or back, ``direct``  a handle on one host, else the values
through the scheduler (submit, map,   a handle if the scheduler has a loopback
delayed, a graph, scatter, gather)    address, as in a `LocalCluster`; else the
                                      values
spilled to disk and back              a handle
====================================  ==========================================

Values arrive as an ordinary array, private to the receiver.

The scheduler keeps its last thousand messages. With them it keeps arrays that are
arguments of tasks in RAM, but not scattered arrays. An array that a worker has spilled,
and drops without reading it back, stays in RAM until that worker ends.

The module `distributed` decides whether two processes are on one host.
"""

from __future__ import annotations

import functools
import io
import sys
import uuid
from contextlib import suppress
from typing import Any

import numpy as np

from ..arrays.core import AnyArray, SharedArray
from ..arrays.handle import has_handle
from ..arrays.root import is_any_mapped
from ..errors import NotSharedError
from ..system import interrupts


def register(sizeof: Any) -> None:
    """Register shared arrays with dask, which calls this through the entry point.

    Parameters
    ----------
    sizeof : dask.utils.Dispatch
        ``dask.sizeof.sizeof``.
    """
    sizeof.register(SharedArray, size_of)

    # distributed has no entry point for serializers, and importing it here would cost
    # a second in programs that do not use it. But it asks for the size of each message
    # before it sends it, and each message has strings.
    size_of_string = sizeof.dispatch(str)

    def size_of_first_string(text: str) -> Any:
        if "distributed.comm.core" in sys.modules:
            with interrupts.deferred():  # registered once, so all or nothing
                sizeof.register(str, size_of_string)
                from .distributed import register_with_distributed

                register_tokens()
                register_with_distributed()
        return size_of_string(text)

    sizeof.register(str, size_of_first_string)


def size_of(array: AnyArray) -> int:
    """Return the bytes of memory that a process would free by dropping an array.

    For an array in shared memory, these are the bytes of the Python object, some 100.
    All processes that map the array share its pages. If each worker counted them,
    the workers would seem to hold more memory than there is. They would spill arrays
    to disk without freeing any memory.

    A handle has about the same size. dask's scheduler compares the time to send data
    with the time to wait, so it runs a task on any free worker, not only where the
    array was first. On a cluster of several hosts, it underestimates the cost of
    sending to another host. There, restrict such tasks to workers of one host
    (``workers=``).

    Private copies, and arrays of mode ``c``, count all their bytes. So do DataFrames,
    because dask asks pandas for their size.

    Parameters
    ----------
    array : SharedArray
        A shared array, or a private copy of one.

    Examples
    --------
    >>> import sharray as sh
    >>> a = sh.zeros(10**6)
    >>> size_of(a) < 500, size_of(a[[1, 2]])
    (True, 16)
    """
    if has_handle(array.mode):
        return sys.getsizeof(array)
    return np.asarray(array).nbytes


def register_tokens() -> None:
    """Make dask name shared arrays, and objects that hold some, by `token_of`.

    dask names an unknown object by its pickle. The pickle of a handle differs each
    time, so dask would refuse to name such an object. `register` runs too early to do
    this.
    """
    from dask.tokenize import normalize_token

    if normalize_token.dispatch(SharedArray) is token_of:
        return
    normalize_object = normalize_token.dispatch(object)

    def normalize(obj: Any) -> Any:
        if is_any_mapped() and _holds_arrays(obj):
            return token_of(obj)
        return normalize_object(obj)

    normalize_token.register(object, normalize)
    normalize_token.register(SharedArray, token_of)


def _holds_arrays(obj: Any) -> bool:
    finder = _finder()(io.BytesIO(), 5, lambda _: None)
    # If the object cannot be pickled, dask deals with that.
    with suppress(Exception):
        finder.dump(obj)
    return bool(finder.has_found)


@functools.cache
def _finder() -> Any:
    import cloudpickle

    # Some versions of cloudpickle have types, and others do not.
    class Finder(cloudpickle.Pickler):  # type: ignore[misc, unused-ignore]
        has_found = False

        def reducer_override(self, obj: Any) -> Any:
            if not isinstance(obj, SharedArray):
                return super().reducer_override(obj)
            self.has_found = True
            return str, ()

    return Finder


def token_of(obj: Any) -> tuple[str, str]:
    """Return a token that dask makes a name from, a new one on each call.

    dask treats results of equal names as equal, and keeps them. Any process may write
    to a shared array, so a second task must not get the same name. A hash of the values
    would read the whole array for each task.
    """
    return "sharray", uuid.uuid4().hex


class _Source:
    """A source without a method `copy`: `dask.array.from_array` would call that."""

    def __init__(self, array: AnyArray) -> None:
        self._array = array
        self.shape = array.shape
        self.dtype = array.dtype
        self.ndim = array.ndim

    def __getitem__(self, index: Any) -> Any:
        # An index of () would give a scalar instead of a view.
        return self._array[index] if self.ndim else self._array[...]


def to_dask(array: AnyArray, chunks: Any = "auto") -> Any:
    """Make a dask array on the memory of a shared array, without a copy.

    In every process, the blocks are views: tasks of a `LocalCluster` read the shared
    memory. Every process sees what a task writes to its block, and what
    `dask.array.store` writes to the array. To prevent that, pass a copy.

    Each call gives the dask array a new name, without reading the values. So dask never
    reuses a result from before the array changed.

    Parameters
    ----------
    array : SharedArray
        Any shared array that is not a private copy.
    chunks : int, tuple or str, default "auto"
        The chunk sizes, as in `dask.array.from_array`.

    Returns
    -------
    dask.array.Array
        A dask array with the shape and dtype of `array`.

    Raises
    ------
    NotSharedError
        If `array` is a private copy, or was opened with mode ``c``. Pass these to
        `dask.array.from_array`.

    Examples
    --------
    >>> import sharray as sh
    >>> a = sh.ones((4, 6))
    >>> blocks = sh.to_dask(a, chunks=(2, 3))
    >>> blocks.numblocks
    (2, 2)
    >>> a[0, 0] = 10
    >>> float(blocks.sum().compute())
    33.0
    """
    if not has_handle(array.mode):
        raise NotSharedError(
            "this array is a private copy, which dask's workers cannot see: expected "
            "a shared array; pass one, or call dask.array.from_array(a), which copies"
        )
    import dask.array

    register_tokens()
    return dask.array.from_array(
        _Source(array),
        chunks=chunks,
        name=f"sharray-{uuid.uuid4().hex}",
        asarray=False,
        meta=np.empty((0,) * array.ndim, array.dtype),
        # A handle in each task costs less than waiting for a task that has one.
        inline_array=True,
    )
