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
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from ..array.wholes import shared_view


def register() -> None:
    """Have joblib's reducer for arguments send handles; `when_imported` calls it."""
    # Not there where joblib does without processes.
    module = sys.modules.get("joblib._memmapping_reducer")
    if module is None:
        return
    kind: Any = module.ArrayMemmapForwardReducer
    if not hasattr(kind.__call__, "__wrapped__"):
        kind.__call__ = _with_handles(kind.__call__)


def _with_handles(reduce: Any) -> Any:
    @functools.wraps(reduce)
    def reduce_in_place(self: Any, array: np.ndarray[Any, Any]) -> Any:
        shared = shared_view(array)
        # Plain as it was sent. The pickler then finds the handle by itself.
        return reduce(self, array) if shared is None else (np.asarray, (shared,))

    return reduce_in_place
