"""The check for ``NUMBA_DISABLE_JIT``, with which kernels run as plain Python."""

from __future__ import annotations

import os
import sys


def is_disabled() -> bool:
    """Return whether ``NUMBA_DISABLE_JIT`` is set, as for debuggers and coverage."""
    numba = sys.modules.get("numba")
    if numba is not None and hasattr(numba, "config"):
        return bool(numba.config.DISABLE_JIT)
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
