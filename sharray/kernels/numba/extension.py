"""What numba loads when it first compiles: the ``numba_extensions`` entry point."""

from __future__ import annotations


def register() -> None:
    """Teach numba what kernels may use of this package; again does no harm."""
    from . import (  # noqa: F401 - importing registers
        atomic_typing,
        cells_typing,
        prange_typing,
        waiting_typing,
    )
