"""A process that changes its user and an owner that sends at the same time.

The owner's processor may hold back a store while it loads what comes later. Here such a
store is made by the next fence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import passing_pressure as pressure
import pytest

from sharray.storage import location, trailer
from sharray.storage import message_states as message
from sharray.storage.messages import inbox, outbox
from sharray.storage.messages.incoming import kept
from sharray.storage.messages.outgoing import Outgoing
from sharray.system import fences, interrupts, processes


@pytest.fixture
def outgoing() -> Iterator[Outgoing]:
    """A file of this process, in which a message is on its way."""
    pressure.forget_outbox()
    with interrupts.deferred():
        found = outbox.take(1000, None)
        assert found is not None
        found.send()
    yield found
    found.recall()
    incoming = kept.pop(found.segment.identity, None)
    if incoming is not None:
        incoming.drop()
    pressure.forget_outbox()


def act_at_fences(acts: list[Callable[[], None]], patch: pytest.MonkeyPatch) -> None:
    remaining = iter(acts)
    patch.setattr(fences, "fence_everywhere", lambda: next(remaining)())


def keep_messages() -> None:
    directory = location.anonymous_directory()
    inbox.keep_messages_of(processes.family_stamp(), directory)


def nothing() -> None:
    pass


def test_a_message_that_leaves_unseen_is_kept(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = outgoing.segment.words
    # The owner has said IN_FLIGHT, and found that it need not look.
    words[trailer.STATE_WORD] = message.WRITING
    words[trailer.LOOK_WORD] = 0
    looks = []

    def let_message_be_seen() -> None:
        looks.append(words[trailer.LOOK_WORD])
        words[trailer.STATE_WORD] = message.IN_FLIGHT

    act_at_fences([nothing, let_message_be_seen], monkeypatch)
    keep_messages()
    # After that fence, the owner's next message finds that it must look.
    assert looks == [1]
    assert outgoing.segment.identity in kept


def test_an_owner_that_had_no_need_to_look_must_look_again(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = outgoing.segment.words
    # The owner has taken the word back, but the store is held back, and the note was
    # not there yet when it looked.
    pending = [0]

    def let_store_be_seen() -> None:
        if pending:
            words[trailer.LOOK_WORD] = pending.pop()

    act_at_fences([let_store_be_seen, let_store_be_seen], monkeypatch)
    keep_messages()
    assert (pending, words[trailer.LOOK_WORD]) == ([], 1)


@pytest.mark.parametrize("leaves", [False, True])
def test_only_messages_on_their_way_are_kept(outgoing: Outgoing, leaves: bool) -> None:
    if not leaves:
        outgoing.recall()
    keep_messages()
    assert (outgoing.segment.identity in kept) == leaves
    assert outgoing.segment.words[trailer.LOOK_WORD] == 1
