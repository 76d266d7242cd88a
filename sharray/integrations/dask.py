"""dask and dask.distributed: arrays travel as handles, with nothing to configure.

dask finds `register` by its entry point ``dask.sizeof`` when it is imported, and no
program needs to call anything in this module but `to_dask`.

What travels how:

====================================  ==========================================
from, to                              a SharedArray, or an object that holds some
====================================  ==========================================
worker to worker                      a handle on one host, else the values
client to worker or back, ``direct``  a handle on one host, else the values
anything by way of the scheduler      a handle if the scheduler has a loopback
(submit, map, delayed, a graph,       address, as that of a `LocalCluster` has;
scatter and gather)                   else the values
spilled to the disk and back          a handle
====================================  ==========================================

A value arrives as an ordinary array, private to who receives it.

The scheduler keeps its last thousand messages, and with them arrays that are arguments
of tasks, in RAM; those that were scattered it does not. What a worker has spilled, and
drops without reading it back, stays in RAM until that worker ends.

What is one host, and what dask tells of who receives, is `distributed`'s to know.
"""

from __future__ import annotations

import functools
import io
import sys
import uuid
from contextlib import suppress
from typing import Any

import numpy as np

from ..array.core import AnyArray, SharedArray
from ..array.handle import has_handle
from ..array.root import is_any_mapped
from ..errors import NotSharedError
from ..system import interrupts


def register(sizeof: Any) -> None:
    """Teach dask about shared arrays; dask calls it by the entry point.

    Parameters
    ----------
    sizeof : dask.utils.Dispatch
        ``dask.sizeof.sizeof``.
    """
    sizeof.register(SharedArray, size_of)

    # distributed has no entry point for how objects are sent, and to import it here
    # would cost a second to those who do not use it. It asks for the size of each
    # message before it is sent, and in each there are strings.
    size_of_string = sizeof.dispatch(str)

    def size_of_first_string(text: str) -> Any:
        if "distributed.comm.core" in sys.modules:
            with interrupts.deferred():  # it is done once, so all or nothing
                sizeof.register(str, size_of_string)
                from .distributed import register_with_distributed

                register_tokens()
                register_with_distributed()
        return size_of_string(text)

    sizeof.register(str, size_of_first_string)


def size_of(array: AnyArray) -> int:
    """How much memory a process would have more if it dropped an array.

    For one in shared memory that is the size of the object, some 100 bytes. Its pages
    belong to all processes that map them: if each worker counted them, several would
    seem to hold more than there is, and would write to the disk what costs nothing,
    without freeing any memory. It also is about what a handle has, so that the
    scheduler, which compares the time to send data with the time to wait, puts work
    where a worker is free instead of where the array was first. On a cluster of
    several hosts it takes the way to another host for cheaper than it is: there,
    restrict such work to workers of the host (``workers=``).

    Private copies, and arrays of mode ``c``, count all their bytes. So do
    DataFrames, as dask asks pandas for their size.

    Parameters
    ----------
    array : SharedArray
        Shared or not.

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
    """Have dask name shared arrays by `token_of`; `register` comes too early for it.

    And objects that hold some: dask pickles what it does not know, and takes it for
    something that cannot be named if the pickle is never the same, as that of a handle.
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
    # What cannot be pickled is for dask to deal with.
    with suppress(Exception):
        finder.dump(obj)
    return bool(finder.has_found)


@functools.cache
def _finder() -> Any:
    import cloudpickle

    class Finder(cloudpickle.Pickler):  # type: ignore[misc, unused-ignore]
        has_found = False

        def reducer_override(self, obj: Any) -> Any:
            if not isinstance(obj, SharedArray):
                return super().reducer_override(obj)
            self.has_found = True
            return str, ()

    return Finder


def token_of(obj: Any) -> tuple[str, str]:
    """What dask computes names from: another one each time.

    Equal names mean equal results to dask, and it keeps those. Anybody may write to a
    shared array, so that no name is good for a second time; and to hash the values
    would read all of them for each task.
    """
    return "sharray", uuid.uuid4().hex


class _Source:
    """What `dask.array.from_array` slices: it copies whatever has a method `copy`."""

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

    Its blocks are views, in whichever process they are computed: tasks of a
    `LocalCluster` read the memory that all map. Every process sees what they write to
    their block, or `dask.array.store` to the array; pass a copy to prevent that.

    Each call gives a new name, without looking at the values: dask never takes a result
    that it has kept for the result after the array has changed.

    Parameters
    ----------
    array : SharedArray
        Any shared array.
    chunks : int, tuple or str, default "auto"
        As in `dask.array.from_array`.

    Returns
    -------
    dask.array.Array
        With the shape and dtype of the array.

    Raises
    ------
    NotSharedError
        The array is a private copy, or was opened with mode ``c``;
        `dask.array.from_array` takes these.

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
            "this array is a private copy, which dask's workers cannot see; pass a "
            "shared one, or use dask.array.from_array, which copies"
        )
    import dask.array

    register_tokens()
    return dask.array.from_array(
        _Source(array),
        chunks=chunks,
        name=f"sharray-{uuid.uuid4().hex}",
        asarray=False,
        meta=np.empty((0,) * array.ndim, array.dtype),
        # A handle in each task costs less than to wait for one that has it.
        inline_array=True,
    )
