"""The ``numba_extensions`` entry point, which numba calls when it first compiles."""

from __future__ import annotations


def register() -> None:
    """Register types and functions of this package with numba; idempotent."""
    from . import (  # noqa: F401 - importing registers
        atomic_typing,
        cells_typing,
        here_typing,
        prange_typing,
        waiting_typing,
    )
