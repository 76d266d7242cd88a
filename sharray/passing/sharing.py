"""`share` copies an object's arrays to shared memory, `unshare` to private memory."""

from __future__ import annotations

import io
import sys
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

import numpy as np

from ..arrays.core import SharedArray
from ..arrays.creation import empty
from .wire.collecting import Sources, collector_of
from .wire.packing import copy_parts, order_of, room_for
from .wire.rebuilding import load, take_part

T = TypeVar("T")


def share(obj: T) -> T:
    """Return an equal object whose arrays are in shared memory.

    The object may be a DataFrame, a sparse matrix, a dataclass or a dictionary. Its
    NumPy arrays, at any depth, become `SharedArray`. Passed to another process, each
    is a handle of some 200 bytes, with or without `install`, and all processes see the
    same memory. The memory is freed when the last process drops it.

    Parameters
    ----------
    obj : object
        Any object that pickle accepts. It does not change; its arrays are copied once.

    Returns
    -------
    object
        An object of the same type. Arrays of pyarrow are in shared memory too, but
        travel as handles only after `install`. Arrays of NumPy's subclasses (masked
        arrays, matrices) travel as copies.

    Raises
    ------
    NoSpaceError
        There is not enough memory.

    See Also
    --------
    unshare : the reverse, for objects to keep

    Examples
    --------
    >>> import numpy as np
    >>> import sharray as sh
    >>> model = sh.share({"weights": np.arange(6.0).reshape(2, 3), "name": "first"})
    >>> model["name"], type(model["weights"]).__name__
    ('first', 'SharedArray')
    >>> model["weights"].sum()
    np.float64(15.0)
    """
    file = io.BytesIO()
    sources = Sources(0, few_small=sys.maxsize)
    collector_of(ForkingPickler)(file, sources).dump(obj)
    parts = sources.parts
    block = empty(sum(room_for(part.nbytes) for part in parts), np.uint8)
    places = copy_parts(parts, block, 0)
    shared: T = load(file.getbuffer(), [block[begin:end] for begin, end in places])
    return shared


def unshare(obj: Any) -> Any:
    """Return an equal object with ordinary arrays in private memory.

    This is the reverse of `share`. Use it before a library pickles the object to a
    file, or to change the object in this process only. A pickle of shared arrays has
    handles, which are useless once the arrays are gone. `joblib.dump`,
    `pandas.to_pickle`, `shelve`, `torch.save` and `numpy.save` store the values; plain
    `pickle.dump` does not.

    Parameters
    ----------
    obj : object
        Any object that pickle accepts. It does not change.

    Returns
    -------
    object
        An equal object, in which each `SharedArray`, at any depth, is an ndarray that
        owns its memory and is writable. An array in several places stays one array.

    Examples
    --------
    >>> import numpy as np
    >>> import sharray as sh
    >>> model = sh.share({"weights": np.arange(6.0), "name": "first"})
    >>> kept = sh.unshare(model)
    >>> type(kept["weights"]).__name__, kept["weights"].flags.owndata
    ('ndarray', True)
    >>> kept["weights"][0] = 10
    >>> float(model["weights"][0])
    0.0
    """
    file = io.BytesIO()
    copies = _Copies()
    collector_of(ForkingPickler)(file, copies).dump(obj)
    return load(file.getbuffer(), copies.arrays)


class _Copies:
    """Private copies of a pickle's arrays, with the methods of `Sources`."""

    inline_below = 0

    def __init__(self) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []

    def reduce(self, array: np.ndarray[Any, Any]) -> Any:
        """Return the answer of `reducer_override` for an array."""
        dtype = array.dtype
        ordinary = type(array) is np.ndarray or isinstance(array, SharedArray)
        if dtype.hasobject or not dtype.itemsize or not ordinary:
            return NotImplemented
        self.arrays.append(np.array(array, order=order_of(array), subok=False))
        return take_part, (len(self.arrays) - 1,)

    def reduce_buffers(self, _: Any) -> Any:
        """Return NotImplemented: buffers stay in the pickle, which copies them."""
        return NotImplemented
