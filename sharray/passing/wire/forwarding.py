"""Send bytes on that a program has received and not opened."""

from __future__ import annotations

from typing import Any

from ...system import interrupts
from .receiving import take_values
from .sending import without_memory

# The last message that was sent on, and its bytes with all values.
_sent_on: tuple[bytes, bytes] | None = None


def with_values(data: Any) -> Any:
    """Return the bytes of a message to send on, with all its values.

    A message can be opened only once. If a program sends its bytes to two readers, the
    second one would fail. So this process opens the file, and all readers get the
    values.

    Raises
    ------
    MessageError
        The message was opened before, or its memory is gone.
    """
    global _sent_on
    raw, last = bytes(data), _sent_on
    if last is None or last[0] != raw:
        # The values can be taken only once. A signal before they are noted would lose
        # them for the second reader.
        with interrupts.deferred():
            pickled, parts = take_values(raw)
            last = _sent_on = raw, without_memory(parts, pickled)
    return last[1]
