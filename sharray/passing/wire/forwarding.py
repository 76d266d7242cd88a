"""Bytes that a program received and sends on, without opening them."""

from __future__ import annotations

from typing import Any

from ...system import interrupts
from .receiving import is_message, take_values
from .sending import without_memory

# The last message that was sent on, and the same with its values.
_sent_on: tuple[bytes, bytes] | None = None


def with_values(data: Any) -> Any:
    """Bytes that are sent on: a message with all of its arrays, anything else as it is.

    A message can be opened once. Whoever sends its bytes to two readers would have the
    second one fail, so they get the values, and this process takes the memory.

    Raises
    ------
    MessageError
        Its memory is gone: somebody has opened it before.
    """
    global _sent_on
    if not is_message(data):
        return data
    raw, last = bytes(data), _sent_on
    if last is None or last[0] != raw:
        # What was taken can be taken only once: a signal before the values are noted
        # would lose them for the second reader.
        with interrupts.deferred():
            pickled, parts = take_values(raw)
            last = _sent_on = raw, without_memory(parts, pickled)
    return last[1]
