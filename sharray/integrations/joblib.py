"""joblib: plain views of shared arrays reach its workers in place.

joblib asks for the memory below each ndarray that it sends. If it is that of a
`numpy.memmap`, the worker maps the same file; else the values are pickled, or from
``max_nbytes`` on written into a file that all workers map. It derives order, strides
and offset from the map, and is wrong wherever a view has others. So our memory does
not look like such a map, and a handle, which describes any view, is sent instead.

=====================================  =========================================
a task's argument, or part of one      arrives as
=====================================  =========================================
a `SharedArray`                        the same, by its own pickle
a plain view of one: ``np.asarray(a)``  a plain view of the same memory
a view of what was opened with mode c  its values, as any ndarray
=====================================  =========================================

Results are pickled: a `SharedArray` as a handle, a plain view by its values.

joblib names cached results by hashes of the arguments, in which the class of an array
takes part. A shared array counts as the plain one with its values there: it is what
`joblib.Memory` has loaded the next time.
"""

from __future__ import annotations

import functools
import sys
import warnings
from typing import Any

import numpy as np

from ..array.core import SharedArray
from ..array.views import shared_view


def register() -> None:
    """Adapt joblib; `when_imported` calls it."""
    # Not there where joblib does without processes.
    _wrap("_memmapping_reducer", "ArrayMemmapForwardReducer", "__call__", _with_handles)
    _wrap("hashing", "NumpyHasher", "save", _of_plain_arrays)


def _wrap(module: str, kind: str, method: str, wrapper: Any) -> None:
    """Replace a method by what `wrapper` makes of it, if its module is there."""
    if (loaded := sys.modules.get(f"joblib.{module}")) is None:
        return
    owner = getattr(loaded, kind, None)
    original = getattr(owner, method, None)
    if original is None:
        warnings.warn(
            f"this joblib has no {module}.{kind}.{method}: plain views of shared "
            "arrays are copied to its workers; pass the shared arrays themselves, or "
            "install another version",
            RuntimeWarning,
            stacklevel=2,
        )
    elif not hasattr(original, "__wrapped__"):
        setattr(owner, method, functools.wraps(original)(wrapper(original)))


def _with_handles(reduce: Any) -> Any:
    def reduce_in_place(self: Any, array: np.ndarray[Any, Any]) -> Any:
        shared = shared_view(array)
        # Plain as it was sent. The pickler then finds the handle by itself.
        return reduce(self, array) if shared is None else (np.asarray, (shared,))

    return reduce_in_place


def _of_plain_arrays(save: Any) -> Any:
    def save_plain(self: Any, obj: Any) -> None:
        save(self, np.asarray(obj) if type(obj) is SharedArray else obj)

    return save_plain
