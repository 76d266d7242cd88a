"""Files that carry messages, without picklers and pipes.

Other processes are played by further mappings of the same file, whose locks are others.
"""

from __future__ import annotations

import os

from passing_pressure import forget_outbox

from sharray.storage import location
from sharray.storage.attaching import attach_open
from sharray.storage.lifetime import transit
from sharray.storage.messages import inbox, outbox
from sharray.storage.messages.incoming import Incoming
from sharray.storage.messages.outgoing import Outgoing
from sharray.system import interrupts

CONTENT = b"first" * 1000


def send(content: bytes = CONTENT) -> tuple[Outgoing, int]:
    """Return the file of a message that has just left, and its token."""
    with interrupts.deferred():
        outgoing = outbox.take(len(content), None)
        assert outgoing is not None
        outgoing.segment.data[: len(content)] = content
        token = outgoing.send()
        assert token is not None
    return outgoing, token


def close_its_pipe(outgoing: Outgoing) -> None:
    """Note a pipe whose reader has closed it already, but has the bytes."""
    reader, writer = os.pipe()
    outgoing.note_channel(writer)
    os.close(reader)
    os.close(writer)


def open_by_another(outgoing: Outgoing) -> Incoming:
    """Return the file of a message, mapped as by another process."""
    return Incoming(*attach_open(location.locate(outgoing.segment.path), "r+"))


def recall_all() -> None:
    """Forget all files to send in, and what is under way in them."""
    for outgoing in outbox._outgoing:
        transit.clear(outgoing.segment.words)
        if outgoing.is_in_flight():
            outgoing.recall()
    forget_outbox()
    inbox.drop_orphans()
