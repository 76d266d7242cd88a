"""The inbox: messages that arrive, and the files in which they do.

The files stay mapped for the next message from the same sender. See
`sharray.storage.message_states` for who may do what when.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...errors import FormatError, HandleError, MessageError, StorageError
from ...names import quote
from ...system import fences, files, finalizing, forks, interrupts
from .. import ending, location
from .. import message_states as message
from ..attaching import attach_open
from .incoming import Incoming, freeing, held, kept
from .returning import Returning
from .taking import Places

# Held by who receives, so that a fork waits for that.
_receiving = threading.RLock()


def receive(
    path: str, identity: bytes, generation: int, token: int, places: Places
) -> Incoming | None:
    """Take over the data of a message, where it is; None if it has to be copied.

    Call it in `interrupts.deferred`, and have `Incoming.free_with` called there, too:
    else an interrupt in between would hold the memory for good.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    identity : bytes
        Device, inode and uuid of the file.
    generation, token : int
        From the message.
    places : sequence of (int, int)
        Begin and end of each part, from the start of the data.

    Raises
    ------
    MessageError
        It was received already, does not fit, or the file is gone.
    """
    with _receiving, _take(path, identity, places) as incoming:
        if not _has_room_for(incoming):
            incoming.keep()
            return None
        if not incoming.hold(generation, token):
            raise _received_before(path)
        incoming.take_over()
        return incoming


def receive_copy(
    path: str,
    identity: bytes,
    generation: int,
    token: int,
    places: Places,
    *,
    interruptible: bool,
) -> list[bytearray]:
    """As `receive`, but copy it, so that the sender can use the file again at once.

    Call it in `interrupts.deferred`, too. If it may be interrupted, signals come in
    between its parts. The message is lost then.
    """
    with _receiving, _take(path, identity, places) as incoming:
        found = incoming.copy(generation, token, places, interruptible=interruptible)
        if found is None:
            raise _received_before(path)
        incoming.keep()
        return found


@contextmanager
def _take(path: str, identity: bytes, places: Places) -> Iterator[Incoming]:
    """Yield the file of a message; keep it for the next one if anything fails."""
    finalizing.act_for_the_dead()  # what an interrupt has kept from it
    incoming = kept.pop(identity, None) or _attach(path, identity)
    try:
        first, end = incoming.segment.data_range
        needed = max((place[1] for place in places), default=0)
        if needed > end - first:
            raise MessageError(
                f"a message does not fit its memory: expected at most {end - first} "
                f"bytes, got {needed}; it is damaged, send it again",
                path,
            )
        yield incoming
    except BaseException:
        incoming.keep()
        raise


def _received_before(path: str) -> MessageError:
    return MessageError(
        f"the arrays of a message are no longer in {quote(path)}: it was received "
        "before; send it again instead of loading it twice",
        path,
    )


def _has_room_for(incoming: Incoming) -> bool:
    if len(held) >= message.most_files():
        return False
    if not incoming.is_from_here():
        return True
    # What has come back to its sender, which cannot send in these files meanwhile.
    back = sum(one.has_come_back() for one in list(held.values()))
    return back < message.most_files() // 2


def drop_orphans() -> None:
    """Give up the files whose sender is gone or has given them up."""
    finalizing.act_for_the_dead()
    with interrupts.deferred(), _receiving:
        for incoming in _each_kept():
            if incoming.is_orphan(now=True):
                incoming.close()
            else:
                incoming.keep()


def count_out() -> int:
    """Return how many messages that were relayed from here their receivers still have.

    Owners cannot use these files for their next messages.
    """
    count = 0
    with interrupts.deferred(), _receiving:
        for incoming in _each_kept():
            count += incoming.is_out()
            incoming.keep()
    return count


def _each_kept() -> Iterator[Incoming]:
    """Take out what is kept, one by one: else another thread may close it meanwhile."""
    for identity in list(kept):
        incoming = kept.pop(identity, None)
        if incoming is not None:
            yield incoming


def keep_messages_of(family: int, directory: str) -> None:
    """Map the messages of a family that are on their way, while that is permitted.

    Make all owners look for the note before they send another one, too. Call it after
    the note is there. `sharray.storage.messages.privileges` says why in this order.
    """
    with interrupts.deferred(), _receiving:
        # An owner may have looked for the note just before it was there. Without this
        # fence, its store that takes back the word could come after ours.
        fences.fence_everywhere()
        for incoming in _all_in(directory):
            incoming.have_owner_look()
            incoming.drop()
        # Without this one, an owner whose IN_FLIGHT we do not see yet could still miss
        # the word that we have set.
        fences.fence_everywhere()
        for incoming in _all_in(directory):
            _keep_if_of(family, incoming)


def _keep_if_of(family: int, incoming: Incoming) -> None:
    identity = incoming.segment.identity
    if not incoming.is_message_of(family) or (
        kept.setdefault(identity, incoming) is not incoming
    ):
        incoming.drop()


def _all_in(directory: str) -> Iterator[Incoming]:
    """Map each file in the directory of anonymous arrays; the caller drops it."""
    for name in os.listdir(directory):
        place = location.locate(os.path.join(directory, name))
        with suppress(StorageError, FormatError):
            segment, fd = attach_open(place, "r+")
            yield Incoming(segment, fd)


def _attach(path: str, identity: bytes) -> Incoming:
    drop_orphans()
    try:
        place = location.locate(path)
        try:
            segment, fd = attach_open(place, "r+", identity=identity)
        except StorageError as error:
            # Descriptors or address space: the files that are kept have some to give.
            if not files.is_exhausted(error) or not kept:
                raise
            _close_kept()
            segment, fd = attach_open(place, "r+", identity=identity)
    except (StorageError, ValueError) as error:
        raise MessageError(
            f"the arrays of a message cannot be read: {error}", path
        ) from error
    if not segment.anonymous or segment.trailer is None:
        files.close(fd)
        segment.release()
        raise HandleError(f"{quote(path)} is not a file that carries messages", path)
    try:
        ending.watch(os.path.dirname(path))
        ending.sweep_if_due(os.path.dirname(path))
        return Incoming(segment, fd)
    except BaseException:
        files.close(fd)
        segment.release()
        raise


def _end() -> None:
    finalizing.act_for_the_dead()
    with interrupts.deferred():
        for key in list(held):
            incoming = held.pop(key, None)
            if incoming is not None:
                incoming.leave()
        _close_kept()


def _close_kept() -> None:
    with suppress(KeyError):
        while True:
            kept.popitem()[1].close()


def _before_fork() -> None:
    # Before the loop: no message may become held after it, in memory that parent and
    # child would share.
    _receiving.acquire()
    for key in list(held):
        incoming = held.pop(key, None)
        if incoming is not None:
            incoming.make_own()


def _after_fork_in_parent() -> None:
    _receiving.release()


def _after_fork_in_child() -> None:
    global _receiving
    _receiving = threading.RLock()
    # The parent goes on with these. To say FREE here, or to remove a name, would take
    # the file from under it, so the child only unmaps them.
    inherited = freeing | {id(incoming): incoming for incoming in kept.values()}
    freeing.clear()
    kept.clear()
    for incoming in inherited.values():
        incoming.drop()


Returning.drop_orphans = drop_orphans
ending.at_end(_end)
forks.at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
