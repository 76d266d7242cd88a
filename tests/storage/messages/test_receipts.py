"""A message is received once, and never recalled while it is received."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from message_files import CONTENT, close_its_pipe, open_by_another, recall_all, send
from passing_pressure import forget_outbox

from sharray.storage.messages import outbox
from sharray.storage.messages.incoming import Incoming
from sharray.storage.messages.outgoing import Outgoing
from sharray.system import locks

PLACES = [(0, 2500), (2500, 5000)]
WAYS = ["hold", "copy"]


@pytest.fixture(autouse=True)
def _empty_outbox() -> Iterator[None]:
    forget_outbox()
    yield
    recall_all()


def send_in_closed_pipe(content: bytes) -> tuple[Outgoing, int]:
    outgoing, token = send(content)
    close_its_pipe(outgoing)
    return outgoing, token


def take(incoming: Incoming, way: str, generation: int, token: int) -> bytes | None:
    """The data of a message, or None if it is not there."""
    if way == "hold":
        if not incoming.hold(generation, token):
            return None
        return bytes(incoming.segment.data[: len(CONTENT)])
    found = incoming.copy(generation, token, PLACES, interruptible=True)
    return None if found is None else b"".join(found)


def once_within_receipt(
    way: str, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let something happen after a receiver has seen that the message is there."""
    name = "_has" if way == "hold" else "_let_signals_in"
    original: Any = getattr(Incoming, name)

    def act_once(self: Incoming, value: int) -> Any:
        found = original(self, value)
        monkeypatch.setattr(Incoming, name, original)
        act()
        return found

    monkeypatch.setattr(Incoming, name, act_once)


@pytest.mark.parametrize("way", WAYS)
def test_a_message_is_not_recalled_while_it_is_received(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outgoing, token = send_in_closed_pipe(CONTENT)
    incoming = open_by_another(outgoing)
    others: list[Outgoing] = []

    def recall_and_send() -> None:
        outbox._recall_all_lost()
        others.append(send(b"other" * 1000)[0])

    once_within_receipt(way, recall_and_send, monkeypatch)
    assert take(incoming, way, outgoing.generation, token) == CONTENT
    assert others != [outgoing]
    incoming.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_message_in_a_closed_pipe_is_recalled_once(way: str) -> None:
    outgoing, token = send_in_closed_pipe(CONTENT)
    incoming, generation = open_by_another(outgoing), outgoing.generation
    outbox._recall_all_lost()
    assert outgoing.is_free()
    assert take(incoming, way, generation, token) is None
    assert send(CONTENT)[0] is outgoing
    outbox._recall_all_lost()  # of the next message, no pipe is known
    assert outgoing.is_in_flight()
    incoming.close()


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_of_two_receivers_at_the_same_time_one_is_refused(
    first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outgoing, token = send(CONTENT)
    incoming, other = open_by_another(outgoing), open_by_another(outgoing)
    found: list[bytes | None] = []

    def receive_again() -> None:
        found.append(take(other, second, outgoing.generation, token))

    once_within_receipt(first, receive_again, monkeypatch)
    assert take(incoming, first, outgoing.generation, token) == CONTENT
    assert found == [None]
    assert outgoing.is_free() == (first == "copy")
    incoming.close()
    other.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_receipt_that_fails_leaves_the_message_to_another(way: str) -> None:
    outgoing, token = send(CONTENT)
    incoming, other = open_by_another(outgoing), open_by_another(outgoing)
    if way == "copy":
        places: Any = [(0, "no number")]
        with pytest.raises(TypeError):
            incoming.copy(outgoing.generation, token, places, interruptible=False)
    assert take(incoming, way, outgoing.generation + 1, token) is None
    assert take(other, way, outgoing.generation, token) == CONTENT
    incoming.close()
    other.close()


def test_a_receiver_that_unlocks_late_does_not_keep_the_next_one_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outgoing, token = send(CONTENT)
    incoming, other = open_by_another(outgoing), open_by_another(outgoing)
    unlock, found = locks.unlock_byte, []

    def send_before_unlock(*arguments: Any) -> None:
        monkeypatch.setattr(locks, "unlock_byte", unlock)
        again, token = send(CONTENT[::-1])
        assert again is outgoing
        found.append(take(other, "hold", again.generation, token))
        unlock(*arguments)
        assert not again.is_free()

    monkeypatch.setattr(locks, "unlock_byte", send_before_unlock)
    assert take(incoming, "copy", outgoing.generation, token) == CONTENT
    assert found == [CONTENT[::-1]]
    incoming.close()
    other.close()
