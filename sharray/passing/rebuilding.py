"""Arrays from the memory of a message: what unpickling calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..array.core import SharedArray
from ..errors import DtypeError
from ..storage.dtypes import check_dtype


def rebuild_array(buffer: Any, dtype: Any, shape: tuple[int, ...], order: Any) -> Any:
    """A contiguous array on the memory that it is given; shared if that is.

    Parameters
    ----------
    buffer : buffer
        The elements, in C or Fortran order.
    dtype : dtype or str
        Of the array.
    shape : tuple of int
        Of the array.
    order : {'C', 'F'}
        That of the elements.
    """
    if not isinstance(buffer, SharedArray) or not _can_be_shared(dtype):
        return rebuild_subclass(buffer, np.ndarray, dtype, shape, order)
    shared = rebuild_subclass(buffer, SharedArray, dtype, shape, order)
    return shared


def _can_be_shared(dtype: Any) -> bool:
    """Whether a handle can be opened; those to objects cannot."""
    try:
        check_dtype(np.dtype(dtype))
    except DtypeError:
        return False
    return True


def rebuild_subclass(
    buffer: Any, kind: Any, dtype: Any, shape: tuple[int, ...], order: Any
) -> Any:
    """As `rebuild_array`, of a subclass that pickles as ndarray does."""
    return np.ndarray.__new__(kind, shape, np.dtype(dtype), buffer, order=order)
