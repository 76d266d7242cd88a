"""Limits for the threads of BLAS and OpenMP while several members work.

Each member would start a thread for each core, and they would take turns on the cores.
So each gets its part of the cores. A worker reads its limits from the environment when
it loads a library. In the calling process the libraries are loaded already: there,
threadpoolctl sets the limits during a run, if it is installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...system import processes

_COMMON = "OMP_NUM_THREADS"
_NAMES = (
    _COMMON,
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

_found: tuple[int, Any] = 0, None  # threadpoolctl's controller for so many modules


def environment(members: int) -> dict[str, str]:
    """Return variables of the environment that limit the threads of a worker.

    Those that the user has set stay as they are. OMP_NUM_THREADS serves all libraries,
    so if that is set, nothing is added.

    Parameters
    ----------
    members : int
        Number of processes that work at the same time.
    """
    if _COMMON in os.environ:
        return {}
    limit = str(for_each(members))
    return {name: limit for name in _NAMES if name not in os.environ}


def has_one(variables: Mapping[str, str]) -> bool:
    """Return whether BLAS starts no threads with these variables of the environment."""
    return (variables.get("OPENBLAS_NUM_THREADS") or variables.get(_COMMON)) == "1"


@contextmanager
def limited(limit: int) -> Iterator[None]:
    """Limit the threads of this process, if threadpoolctl is installed."""
    controller = _controller()
    if controller is None:
        yield
        return
    with controller.limit(limits=limit):
        yield


def for_each(members: int) -> int:
    """Return how many threads each of so many members should have."""
    return max(1, processes.count_cores() // max(members, 1))


def _controller() -> Any:
    """Return threadpoolctl's controller of the libraries that are loaded now."""
    global _found
    count = len(sys.modules)
    if _found[0] != count:  # looking through all loaded libraries takes 1 ms
        try:
            import threadpoolctl
        except ImportError:
            return None
        _found = len(sys.modules), threadpoolctl.ThreadpoolController()
    return _found[1]
