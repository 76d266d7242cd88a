"""Pickle a message, and set the memory of its arrays aside.

If nothing is set aside, the message is byte for byte the output of its pickler. Some
programs compare messages, and processes without this library read them. So the pickler
keeps its own protocol and has no buffer callback. For memory that is set aside, the
pickle has a call of a function with the number of a part.
"""

from __future__ import annotations

import functools
import io
import operator
import pickle
import types
from typing import Any

import numpy as np

from ...arrays.core import AnyArray
from ...arrays.views import shared_bytes
from ...storage.dtypes import spell
from .packing import Part, order_of
from .rebuilding import rebuild_array, rebuild_subclass, take_part

_LARGER_THAN_HANDLE = 512
# Pickling fewer bytes takes less time than setting them aside.
_SMALL = 8192
# Types of objects that a pickle only names: most of those in a small message.
_BY_NAME = frozenset((type, types.FunctionType, types.BuiltinFunctionType))
# Set the first few small arrays aside, so that a message of small arrays goes through
# shared memory. Thousands stay in the pickle.
_FEW_SMALL = 16


class Sources:
    """The memory that a message refers to, in the order of the references.

    Arrays stay in the pickle until they add up to `threshold` bytes. After that, small
    arrays stay in the pickle, too, except for the first few.

    Parameters
    ----------
    threshold : int
        Bytes of arrays that stay in the pickle.
    few_small : int
        Number of small arrays to set aside.

    Attributes
    ----------
    parts : list of ndarray or memoryview
        Arrays of any layout, or bytes; a SharedArray travels as a handle.
    inline_below : int
        Arrays with fewer bytes stay in the pickle, without a call of `reduce`.
    """

    __slots__ = ("_inline_left", "_small_left", "inline_below", "parts")

    def __init__(self, threshold: int, few_small: int = _FEW_SMALL) -> None:
        self.parts: list[Part] = []
        self._inline_left = threshold
        self._small_left = few_small
        self.inline_below = 0

    def reduce(self, array: np.ndarray[Any, Any]) -> Any:
        """Return the answer of `reducer_override` for an array."""
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
        """Return the answer of `reducer_override` for an object that may have buffers.

        Such objects, like those of pyarrow, pickle as `pickle.PickleBuffer` with
        protocol 5.
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
    """Return the shared array with these bytes, if its handle is smaller."""
    # For buffers only: the receiver of a NumPy array may take its memory for private.
    return shared_bytes(memory) if memory.nbytes >= _LARGER_THAN_HANDLE else None


class _Taken:
    """An object that pickles as a call that returns a part of the message."""

    __slots__ = ("_arguments",)

    def __init__(self, part: int, readonly: bool) -> None:
        self._arguments = part, readonly

    def __reduce__(self) -> Any:
        return take_part, self._arguments


def has_buffers(kind: Any) -> bool:
    """Return whether objects of a type may pickle as `pickle.PickleBuffer`."""
    return kind.__reduce_ex__ is not object.__reduce_ex__ and hasattr(kind, "__len__")


@functools.cache
def collector_of(pickler: Any) -> Any:
    """Return a subclass of a pickler that sets arrays aside.

    Parameters
    ----------
    pickler : type
        `multiprocessing.reduction.ForkingPickler`, or a class like it.

    Returns
    -------
    type
        Call it with a file for the pickle and `Sources` for the memory.
    """
    # The way in which the pickler reduces an array without a registered reducer. dill's
    # pickler, which is written in Python, has its own way.
    plainly: Any = operator.methodcaller("__reduce_ex__", pickle.DEFAULT_PROTOCOL)
    if not issubclass(pickler, pickle.Pickler):
        plainly = _not_here
    elif pickle.DEFAULT_PROTOCOL < 5:
        plainly = np.ndarray.__reduce__

    class Collector(pickler):  # type: ignore[misc]  # any class
        _is_registered: bool | None = None  # of ndarray

        def __init__(self, file: io.BytesIO, sources: Sources) -> None:
            pickler.__init__(self, file)
            self._sources = sources

        def reducer_override(self, obj: Any) -> Any:
            """Set arrays aside, unless a reducer is registered for them."""
            kind = type(obj)
            if kind in _BY_NAME:
                return NotImplemented
            if kind is np.ndarray:
                if self._is_registered is None:
                    self._is_registered = kind in self.dispatch_table
                if self._is_registered:
                    return NotImplemented
                found = NotImplemented
                if obj.nbytes >= self._sources.inline_below:
                    found = self._sources.reduce(obj)
                # Like the pickler, but without its slow search for a reducer.
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
    """Return whether a class pickles like `numpy.ndarray`."""
    names = "__reduce_ex__", "__reduce__", "__setstate__"
    return all(getattr(kind, name) is getattr(np.ndarray, name) for name in names)
