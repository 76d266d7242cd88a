"""The time of a run, divided among its topics."""

from __future__ import annotations

import time
from collections.abc import Mapping

_SLOWEST = 0.01


class Clock:
    """Tells each topic which part of its planned time it gets.

    Parameters
    ----------
    seconds : float
        The time of the run, which begins now.
    planned : mapping
        Seconds that each topic plans to take, in the order of the topics.
    """

    def __init__(self, seconds: float, planned: Mapping[str, float]) -> None:
        self._end = time.monotonic() + seconds
        self._planned = dict(planned)

    def pace(self, topic: str) -> float:
        """Return 1, or less if the topics that are left plan more than is left.

        Call it once for each topic, when it begins.
        """
        left = self._end - time.monotonic()
        planned = sum(self._planned.values())
        del self._planned[topic]
        return min(max(left / planned, _SLOWEST), 1.0)
