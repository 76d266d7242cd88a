"""Give back the memory of messages, if this process has had any.

`outbox` and `inbox` set the functions when they are imported. Until then, there is
nothing to give back, and no need to import them, or NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar


def _do_nothing() -> None:
    pass


class Returning:
    """The functions that give memory back.

    Attributes
    ----------
    trim : callable
        Give back the files that are kept for the next message.
    drop_orphans : callable
        Drop the files of senders that have ended.
    """

    trim: ClassVar[Callable[[], None]] = _do_nothing
    drop_orphans: ClassVar[Callable[[], None]] = _do_nothing
