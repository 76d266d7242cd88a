"""joblib: its workers get plain views of shared arrays in place.

joblib looks up the base of each ndarray that it sends. If the base is a `numpy.memmap`,
the worker maps the same file. Else joblib pickles the values, or from ``max_nbytes`` on
writes them to a file that all workers map. joblib derives order, strides and offset
from the memmap, which is wrong for views with others. So the base of a shared array is
no memmap, and this module sends a handle, which describes any view.

===============================================  ===============================
a task's argument, or part of one                arrives as
===============================================  ===============================
a `SharedArray`                                  a `SharedArray`, by its handle
a plain view of one: ``np.asarray(a)``           a plain view of the same memory
a plain view of an array opened with mode ``c``  values, like any ndarray
===============================================  ===============================

joblib pickles results: a `SharedArray` as a handle, a plain view by its values.

joblib names cached results by hashes of the arguments, and the class of an array is
part of the hash. Here a shared array has the hash of the plain array with its values,
because `joblib.Memory` loads a plain array the next time.
"""

from __future__ import annotations

import functools
import sys
import warnings
from typing import Any

import numpy as np

from ..arrays.core import SharedArray
from ..arrays.views import shared_view


def register() -> None:
    """Adapt joblib; `when_imported` calls this."""
    # Missing if joblib runs without processes.
    _wrap("_memmapping_reducer", "ArrayMemmapForwardReducer", "__call__", _with_handles)
    _wrap("hashing", "NumpyHasher", "save", _of_plain_arrays)


def _wrap(module: str, kind: str, method: str, wrapper: Any) -> None:
    """Wrap a method of joblib, if its module is loaded."""
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
        # Arrives as a plain view. The pickler makes the handle of `shared`.
        return reduce(self, array) if shared is None else (np.asarray, (shared,))

    return reduce_in_place


def _of_plain_arrays(save: Any) -> Any:
    def save_plain(self: Any, obj: Any) -> None:
        save(self, np.asarray(obj) if type(obj) is SharedArray else obj)

    return save_plain
