"""`share`: an object whose arrays all processes see."""

from __future__ import annotations

import io
import pickle
from multiprocessing.reduction import ForkingPickler
from typing import TypeVar

import numpy as np

from ..array.creation import empty
from .collecting import Sources, collector_of
from .packing import copy_parts, room_for

T = TypeVar("T")


def share(obj: T) -> T:
    """Put all arrays of an object into shared memory: an equal object over it.

    Its NumPy arrays, at any depth, become `SharedArray`: passed to another process,
    each is a handle of some 200 bytes, with or without `install`, and all processes
    see the same memory. It ends with the last of them. For what holds arrays: a
    DataFrame, a sparse matrix, a dataclass, a dictionary.

    Parameters
    ----------
    obj : object
        What pickle takes. It stays as it is, and its arrays are copied once.

    Returns
    -------
    object
        Of the same type. Arrays of pyarrow lie in shared memory too, but travel
        as handles only after `install`; arrays of NumPy's subclasses (masked arrays,
        matrices) travel as copies.

    Raises
    ------
    NoSpaceError
        There is not enough memory.

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
    sources = Sources(0)
    collector_of(ForkingPickler)(file, sources).dump(obj)
    parts = sources.parts
    block = empty(sum(room_for(part.nbytes) for part in parts), np.uint8)
    places = copy_parts(parts, block, 0)
    buffers = [block[begin:end] for begin, end in places]
    shared: T = pickle.loads(file.getbuffer(), buffers=buffers)
    return shared
