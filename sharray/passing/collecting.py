"""Pickling a message, with the memory of its arrays set aside."""

from __future__ import annotations

import functools
import io
import pickle
from typing import Any

import numpy as np

from ..array.wholes import shared_bytes
from ..storage.dtypes import spell
from .packing import Part, order_of
from .rebuilding import rebuild_array, rebuild_subclass

# Stands in the pickle where an array's memory belongs. Not the array's own
# PickleBuffer: of strided, read-only or datetime64 arrays there is none, or pickle
# would make them read-only at the other side.
PLACE = pickle.PickleBuffer(bytearray())


_LARGER_THAN_HANDLE = 512


class Sources:
    """The memory that a message refers to, in the order in which it does.

    Small arrays stay in the pickle until they add up to `threshold` bytes.

    Attributes
    ----------
    parts : list of ndarray or memoryview
        Arrays of any layout, or bytes; a SharedArray travels as a handle.
    """

    __slots__ = ("_inline", "_pending", "_threshold", "parts")

    def __init__(self, threshold: int) -> None:
        self.parts: list[Part] = []
        self._threshold = threshold
        self._inline = 0
        self._pending: np.ndarray[Any, Any] | None = None

    def reduce(self, array: np.ndarray[Any, Any]) -> Any:
        """What `reducer_override` says of an array."""
        kind: Any = type(array)
        dtype = array.dtype
        if dtype.hasobject or not dtype.itemsize or not _pickles_as_ndarray(kind):
            return NotImplemented
        if self._is_inline(array.nbytes):
            # Not by NumPy's protocol 5, whose results do not own their memory.
            return array.__reduce__()
        self._pending = array
        described = spell(dtype), array.shape, order_of(array)
        if kind is np.ndarray:
            return rebuild_array, (PLACE, *described)
        return rebuild_subclass, (PLACE, kind, *described)

    def take(self, buffer: pickle.PickleBuffer) -> bool:
        """The pickler's buffer_callback; true lets it write the bytes itself."""
        if self._pending is not None:
            self.parts.append(self._pending)
            self._pending = None
            return False
        memory = buffer.raw()
        # Not an array of NumPy, whose memory its receiver may think its own.
        shared = shared_bytes(memory) if memory.nbytes >= _LARGER_THAN_HANDLE else None
        if shared is None and self._is_inline(memory.nbytes):
            return True
        self.parts.append(memory if shared is None else shared)
        return False

    def _is_inline(self, nbytes: int) -> bool:
        if self._inline + nbytes >= self._threshold:
            return False
        self._inline += nbytes
        return True


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

    class Collector(pickler):  # type: ignore[misc]  # any class
        def __init__(self, file: io.BytesIO, sources: Sources) -> None:
            if issubclass(pickler, pickle.Pickler):
                super().__init__(file, 5, True, sources.take)  # takes no keywords
            else:
                super().__init__(file, 5, buffer_callback=sources.take)
            self._sources = sources

        def reducer_override(self, obj: Any) -> Any:
            """Arrays, unless somebody has registered another way for them."""
            if not isinstance(obj, np.ndarray) or type(obj) in self.dispatch_table:
                return NotImplemented
            return self._sources.reduce(obj)

    return Collector


@functools.cache
def _pickles_as_ndarray(kind: Any) -> bool:
    """Whether a class leaves pickling to `numpy.ndarray`."""
    names = "__reduce_ex__", "__reduce__", "__setstate__"
    return all(getattr(kind, name) is getattr(np.ndarray, name) for name in names)
