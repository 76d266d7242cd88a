"""What was received leaves again in the same file, and at no step others get it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from message_files import CONTENT, close_its_pipe, open_by_another, recall_all, send
from passing_pressure import forget_outbox

from sharray.storage import trailer
from sharray.storage.lifetime import transit
from sharray.storage.messages import outbox
from sharray.storage.messages.outgoing import Outgoing
from sharray.storage.messages.relay import Relay, find
from sharray.system import freezing, interrupts, locks, memory


@pytest.fixture(autouse=True)
def _empty_outbox() -> Iterator[None]:
    forget_outbox()
    yield
    recall_all()


class Received:
    """A message of this process that another one has received, and is to relay.

    Attributes
    ----------
    outgoing, incoming
        The file, as the owner and as the receiver have it.
    pipe
        Where it is sent on.
    guard
        The array that frees the message, as its receiver would have it.
    """

    def __init__(self) -> None:
        self.pipe = os.open(os.devnull, os.O_WRONLY)
        self.outgoing, self.token = send()
        self.first = self.outgoing.generation
        self.incoming = open_by_another(self.outgoing)
        with interrupts.deferred():
            assert self.incoming.hold(self.first, self.token)
            self.incoming.take_over()
            self.guard: Any = np.empty(0)
            self.incoming.free_with(self.guard)

    def relay(self) -> tuple[Relay, int]:
        """Relay it, after the arrays are gone."""
        with interrupts.deferred():
            relay = Relay.begin(self.incoming)
            assert relay is not None
            self.guard = None
            assert relay.is_ready()
            token = relay.send(self.pipe)
            assert token is not None
            return relay, token

    def data(self) -> bytes:
        return bytes(self.incoming.segment.data[: len(CONTENT)])


@pytest.fixture
def received() -> Iterator[Received]:
    received = Received()
    yield received
    received.guard = None
    os.close(received.pipe)


def test_the_data_arrives_once_and_the_file_is_free_afterwards(
    received: Received,
) -> None:
    outgoing = received.outgoing
    relay, token = received.relay()
    relay.end()
    assert outgoing.is_in_flight()
    assert outgoing.generation == received.first + 1
    other = open_by_another(outgoing)
    assert not other.hold(received.first, received.token)  # a late duplicate
    assert other.copy(received.first + 1, token, [(0, 5)], interruptible=False)
    assert outgoing.is_free()
    assert not other.hold(received.first + 1, token)
    other.close()


def test_stores_after_the_beginning_are_not_sent(received: Received) -> None:
    with interrupts.deferred():
        relay = Relay.begin(received.incoming)
        assert relay is not None
        received.incoming.segment.data[:4] = b"last"
        assert bytes(relay.bytes_at(0, 5)) == b"first"
        assert bytes(received.outgoing.segment.data[:5]) == b"first"
        received.guard = None
        assert relay.send(received.pipe) is not None
        relay.end()
    assert bytes(received.outgoing.segment.data[:5]) == b"first"


def test_arrays_that_stay_keep_what_was_stored(received: Received) -> None:
    with interrupts.deferred():
        relay = Relay.begin(received.incoming)
        assert relay is not None
        received.incoming.segment.data[:4] = b"last"
        assert not relay.is_ready()
        assert bytes(relay.bytes_at(0, 5)) == b"first"
        relay.end()
    assert received.data().startswith(b"lastt")
    assert not received.outgoing.is_free()
    received.guard = None
    assert received.outgoing.is_lost()  # the owner lets go of it


@pytest.mark.parametrize("name", ["lock_byte", "unlock_byte"])
def test_at_no_step_the_owner_finds_the_file_free(
    name: str, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, found = getattr(locks, name), []

    def look(*arguments: Any) -> Any:
        found.append(received.outgoing.is_free())
        done = original(*arguments)
        found.append(received.outgoing.is_free())
        return done

    monkeypatch.setattr(locks, name, look)
    record = transit.record_sent

    def look_and_record(words: Any, **more: Any) -> int:
        found.append(received.outgoing.is_free())
        return record(words, **more)

    monkeypatch.setattr(transit, "record_sent", look_and_record)
    relay, _ = received.relay()
    relay.end()
    assert len(found) >= 3
    assert not any(found)


@pytest.mark.parametrize("when", ["before the look at the lock", "after it"])
def test_an_owner_that_looks_while_the_file_is_relayed(
    when: str, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    outgoing, is_locked = received.outgoing, locks.is_byte_locked

    def relay_meanwhile(*arguments: Any) -> bool:
        monkeypatch.setattr(locks, "is_byte_locked", is_locked)
        if when == "after it":
            before = is_locked(*arguments)
        received.relay()[0].end()
        return before if when == "after it" else is_locked(*arguments)

    monkeypatch.setattr(locks, "is_byte_locked", relay_meanwhile)
    assert not outgoing.is_free()
    assert outgoing.is_in_flight()


def test_an_owner_that_looks_while_the_relayed_message_is_received(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    outgoing, is_locked = received.outgoing, locks.is_byte_locked
    other = open_by_another(outgoing)

    def relay_and_receive(*arguments: Any) -> bool:
        monkeypatch.setattr(locks, "is_byte_locked", is_locked)
        relay, token = received.relay()
        relay.end()
        assert other.hold(relay.generation, token)
        return is_locked(*arguments)  # of the generation before

    monkeypatch.setattr(locks, "is_byte_locked", relay_and_receive)
    assert not outgoing.is_free()
    other.close()


def test_only_the_owner_sends_if_somebody_wants_it_to_look(received: Received) -> None:
    received.outgoing.segment.words[trailer.LOOK_WORD] = 1
    with interrupts.deferred():
        relay = Relay.begin(received.incoming)
        assert relay is not None
        received.guard = None
        assert relay.send(received.pipe) is None
        assert not received.outgoing.is_in_flight()
        assert not received.outgoing.is_free()
        assert bytes(relay.bytes_at(0, 5)) == b"first"
        relay.end()
    assert received.outgoing.is_free()
    assert transit.count(page_of(received.outgoing)) == 0
    received.outgoing.segment.words[trailer.LOOK_WORD] = 0


def page_of(outgoing: Outgoing) -> bytes:
    return outgoing.segment.words.tobytes()


def test_a_relay_that_cannot_leave_frees_the_file(received: Received) -> None:
    relay, _ = received.relay()
    relay.recall()
    assert received.outgoing.is_free()
    assert transit.count(page_of(received.outgoing)) == 0


def test_a_late_recall_does_not_free_the_owners_next_message(
    received: Received,
) -> None:
    relay, _ = received.relay()
    close_its_pipe(received.outgoing)
    outbox._recall_all_lost()
    assert received.outgoing.is_free()
    assert transit.count(page_of(received.outgoing)) == 0
    again, _ = send()
    assert again is received.outgoing
    relay.recall()
    assert again.is_in_flight()


def test_the_owner_clears_the_entry_of_a_receiver_that_was_killed(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, token = received.relay()
    relay.end()
    other = open_by_another(received.outgoing)
    with monkeypatch.context() as patch:
        patch.setattr(transit, "record_received", lambda *_: None)
        assert other.hold(relay.generation, token)
    other.drop()  # and so its lock, as if it was killed
    assert transit.count(page_of(received.outgoing)) == 1
    assert received.outgoing.is_free()
    assert send()[0] is received.outgoing
    assert transit.count(page_of(received.outgoing)) == 1  # the new one


def test_memory_that_cannot_be_frozen_is_not_relayed(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(freezing, "freeze", fail)
    with interrupts.deferred():
        assert Relay.begin(received.incoming) is None
    received.guard = None
    assert received.outgoing.is_free()


def test_a_page_that_has_data_and_trailer_is_not_frozen(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PAGE_SIZE", 1 << 24)
    with interrupts.deferred():
        assert Relay.begin(received.incoming) is None
    received.guard = None
    assert received.outgoing.is_free()


def test_pages_that_cannot_move_back_are_copied(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError

    with interrupts.deferred():
        relay = Relay.begin(received.incoming)
        assert relay is not None
        received.guard = None
        monkeypatch.setattr(freezing, "thaw", fail)
        assert relay.send(received.pipe) is None
        assert bytes(relay.bytes_at(0, 5)) == b"first"
        relay.end()
    assert received.outgoing.is_lost()


def test_bytes_are_found_in_the_message_that_has_them(received: Received) -> None:
    segment = received.incoming.segment
    address = np.frombuffer(segment.data, np.uint8).ctypes.data
    nbytes = segment.header.nbytes
    assert find(address, nbytes) is received.incoming
    assert find(address + nbytes, 0) is received.incoming
    assert find(address + 1, nbytes) is None
    assert find(address - 1, 1) is None
