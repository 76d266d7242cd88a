"""Functions that tests run in workers, about mappings that these keep."""

from __future__ import annotations

from typing import Any

from sharray.storage import kept


def total(found: Any) -> float:
    """Return the sum of an array, or of all arrays of a dictionary."""
    arrays = found.values() if isinstance(found, dict) else [found]
    return float(sum(array.sum() for array in arrays))


def count_kept() -> int:
    """Return how many mappings this process keeps."""
    return len(kept._kept)
