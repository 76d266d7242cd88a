"""Pickling a message, with the memory of its arrays set aside.

A message in which nothing is set aside is, byte for byte, what its pickler writes by
itself: programs compare messages, and processes without this library read them. So
the pickler keeps its own protocol and has no buffer callback. Where memory is set
aside, the pickle has the call of a function with the number of a part instead.
"""

from __future__ import annotations

import functools
import io
import operator
import pickle
from typing import Any

import numpy as np

from ...array.core import AnyArray
from ...array.views import shared_bytes
from ...storage.dtypes import spell
from .packing import Part, order_of
from .rebuilding import rebuild_array, rebuild_subclass, take_part

_LARGER_THAN_HANDLE = 512
# Pickling so many bytes takes less time than setting them aside.
_SMALL = 8192
# A message may consist of small arrays: then the first few go, and it is one that
# goes through shared memory. Thousands stay in the pickle.
_FEW_SMALL = 16


class Sources:
    """The memory that a message refers to, in the order in which it does.

    Arrays stay in the pickle until they add up to `threshold` bytes, and small ones
    after that, too, but for the first few.

    Parameters
    ----------
    threshold : int
        Bytes.
    few_small : int
        How many small arrays are set aside.

    Attributes
    ----------
    parts : list of ndarray or memoryview
        Arrays of any layout, or bytes; a SharedArray travels as a handle.
    inline_below : int
        Arrays with less bytes stay in the pickle, without a call of `reduce`.
    """

    __slots__ = ("_inline_left", "_small_left", "inline_below", "parts")

    def __init__(self, threshold: int, few_small: int = _FEW_SMALL) -> None:
        self.parts: list[Part] = []
        self._inline_left = threshold
        self._small_left = few_small
        self.inline_below = 0

    def reduce(self, array: np.ndarray[Any, Any]) -> Any:
        """Return what `reducer_override` says of an array."""
        nbytes = array.nbytes
        if nbytes < self._inline_left:
            self._inline_left -= nbytes
            return NotImplemented
        kind: Any = type(array)
        if nbytes < _SMALL and not self._take_small():
            self.inline_below = _SMALL if kind is np.ndarray else 0
            return NotImplemented
        dtype = array.dtype
        if dtype.hasobject or not dtype.itemsize or not _pickles_as_ndarray(kind):
            return NotImplemented
        described = spell(dtype), array.shape, order_of(array)
        part = self._set_aside(array)
        if kind is np.ndarray:
            return rebuild_array, (part, *described)
        return rebuild_subclass, (part, kind, *described)

    def reduce_buffers(self, obj: Any) -> Any:
        """Return what `reducer_override` says of an object that may have buffers.

        With protocol 5, it gives `pickle.PickleBuffer`, as those of pyarrow do.
        """
        try:
            memory = pickle.PickleBuffer(obj).raw()
        except (BufferError, TypeError):
            return NotImplemented
        if _shared(memory) is None and self._is_inline(memory.nbytes):
            return NotImplemented
        value = obj.__reduce_ex__(5)
        if type(value) is not tuple or pickle.PickleBuffer not in map(type, value[1]):
            return NotImplemented
        arguments = tuple(map(self._without_buffer, value[1]))
        return (value[0], arguments, *value[2:])

    def _without_buffer(self, argument: Any) -> Any:
        if type(argument) is not pickle.PickleBuffer:
            return argument
        memory = argument.raw()
        shared = _shared(memory)
        part = self._set_aside(memory if shared is None else shared)
        return _Taken(part, memory.readonly)

    def _set_aside(self, part: Part) -> int:
        self.parts.append(part)
        return len(self.parts) - 1

    def _is_inline(self, nbytes: int) -> bool:
        if nbytes < self._inline_left:
            self._inline_left -= nbytes
            return True
        return nbytes < _SMALL and not self._take_small()

    def _take_small(self) -> bool:
        if not self._small_left:
            return False
        self._small_left -= 1
        return True


def _shared(memory: memoryview) -> AnyArray | None:
    """Return the array of a file that these bytes are, if a handle is smaller."""
    # Not an array of NumPy, whose memory its receiver may think its own.
    return shared_bytes(memory) if memory.nbytes >= _LARGER_THAN_HANDLE else None


class _Taken:
    """Pickles as the call that gives a part of the message."""

    __slots__ = ("_arguments",)

    def __init__(self, part: int, readonly: bool) -> None:
        self._arguments = part, readonly

    def __reduce__(self) -> Any:
        return take_part, self._arguments


def has_buffers(kind: Any) -> bool:
    """Whether objects of a type may give `pickle.PickleBuffer` with protocol 5."""
    return kind.__reduce_ex__ is not object.__reduce_ex__ and hasattr(kind, "__len__")


@functools.cache
def collector_of(pickler: Any) -> Any:
    """A pickler class that sets arrays aside, from one that pickles messages.

    Parameters
    ----------
    pickler : type
        `multiprocessing.reduction.ForkingPickler`, or a class like it.

    Returns
    -------
    type
        To be called with a file for the pickle and `Sources` for the memory.
    """
    # How an array is reduced that has no registered way. dill's pickler, which is
    # written in Python, has one that is not registered.
    plainly: Any = operator.methodcaller("__reduce_ex__", pickle.DEFAULT_PROTOCOL)
    if not issubclass(pickler, pickle.Pickler):
        plainly = _not_here
    elif pickle.DEFAULT_PROTOCOL < 5:
        plainly = np.ndarray.__reduce__

    class Collector(pickler):  # type: ignore[misc]  # any class
        def __init__(self, file: io.BytesIO, sources: Sources) -> None:
            super().__init__(file)
            self._sources = sources
            self._is_registered: bool | None = None  # of ndarray

        def reducer_override(self, obj: Any) -> Any:
            """Arrays, unless somebody has registered another way for them."""
            kind = type(obj)
            if kind is np.ndarray:
                if self._is_registered is None:
                    self._is_registered = kind in self.dispatch_table
                if self._is_registered:
                    return NotImplemented
                found = NotImplemented
                if obj.nbytes >= self._sources.inline_below:
                    found = self._sources.reduce(obj)
                # As the pickler would, but without its slow look for a registered way.
                return plainly(obj) if found is NotImplemented else found
            if issubclass(kind, np.ndarray):
                if kind not in self.dispatch_table:
                    return self._sources.reduce(obj)
            elif has_buffers(kind) and kind not in self.dispatch_table:
                return self._sources.reduce_buffers(obj)
            return NotImplemented

    return Collector


def _not_here(_: Any) -> Any:
    return NotImplemented


@functools.cache
def _pickles_as_ndarray(kind: Any) -> bool:
    """Whether a class leaves pickling to `numpy.ndarray`."""
    names = "__reduce_ex__", "__reduce__", "__setstate__"
    return all(getattr(kind, name) is getattr(np.ndarray, name) for name in names)
