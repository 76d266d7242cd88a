"""Make arrays from the memory of a message; unpickling calls these functions."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays.core import SharedArray
from ...errors import DtypeError, HandleError
from ...storage.dtypes import check_dtype


class _Opening(threading.local):
    """The parts of the message that this thread unpickles.

    Unpickling calls `take_part` with values in the pickle only, so the parts cannot be
    an argument. An Unpickler that binds them in `find_class` would run Python code for
    every class in the pickle, and copy the pickle first.

    Invariant: the parts belong to the innermost `load` of this thread; outside of
    `load` there are none. Each `load` restores them, even if it fails.
    """

    parts: Sequence[Any] = ()


_opening = _Opening()


def load(pickled: Any, parts: Sequence[Any]) -> Any:
    """Unpickle the rest of a message, which refers to its parts by number.

    Parameters
    ----------
    pickled : buffer
        The output of a pickler with `sharray.passing.wire.collecting.Sources`.
    parts : sequence of buffer
        The memory that was set aside.
    """
    # Unpickling may open another message, whose `load` runs within this one.
    outer, _opening.parts = _opening.parts, parts
    try:
        return pickle.loads(pickled)
    finally:
        _opening.parts = outer


def take_part(number: Any, readonly: bool = False) -> Any:
    """Return the memory with this number in the message that is being unpickled.

    Parameters
    ----------
    number : int
        Number of the part.
    readonly : bool
        Whether the sender's memory was read-only.

    Raises
    ------
    HandleError
        The message has no such part.
    """
    parts = _opening.parts
    if type(number) is not int or not 0 <= number < len(parts):
        raise HandleError(
            f"not a message of this library: expected one of its {len(parts)} parts"
        )
    part = parts[number]
    return memoryview(part).toreadonly() if readonly else part


def rebuild_array(part: int, dtype: Any, shape: tuple[int, ...], order: Any) -> Any:
    """Return a contiguous array on a part of the message; shared if the part is.

    Parameters
    ----------
    part : int
        Number of the part with the elements, in C or Fortran order.
    dtype : dtype or str
        The dtype of the array.
    shape : tuple of int
        The shape of the array.
    order : {'C', 'F'}
        The order of the elements.
    """
    is_shared = isinstance(take_part(part), SharedArray) and _can_be_shared(dtype)
    kind = SharedArray if is_shared else np.ndarray
    return rebuild_subclass(part, kind, dtype, shape, order)


def _can_be_shared(dtype: Any) -> bool:
    """Return whether a handle with this dtype can be opened: not with objects."""
    try:
        check_dtype(np.dtype(dtype))
    except DtypeError:
        return False
    return True


def rebuild_subclass(
    part: int, kind: Any, dtype: Any, shape: tuple[int, ...], order: Any
) -> Any:
    """Return an array like `rebuild_array`, of a subclass that pickles like ndarray."""
    memory = take_part(part)
    return np.ndarray.__new__(kind, shape, np.dtype(dtype), memory, order=order)
