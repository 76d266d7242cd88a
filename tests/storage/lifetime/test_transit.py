"""Notes of handles on their way, when several processes use them at the same time."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import sharray as sh
from sharray.storage.format import TRAILER_SIZE
from sharray.storage.lifetime import transit
from sharray.system import processes


class WordsWithHook:
    """The words of a trailer page; something happens after the first look at one."""

    def __init__(self, words: memoryview[int], word: int, act: Callable[[], None]):
        self._words, self._word, self._act = words, word, act

    def __getitem__(self, word: Any) -> Any:
        found = self._words[word]
        if word == self._word:
            self._word = -1
            self._act()
        return found

    def __setitem__(self, word: int, value: int) -> None:
        self._words[word] = value


def new_words() -> memoryview[int]:
    return memoryview(bytearray(TRAILER_SIZE)).cast("Q")


def tokens(words: memoryview[int]) -> list[int]:
    return [entry.token for entry in transit.on_the_way(words)]


@pytest.fixture(params=[0, 7])
def entry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The entry that all handles take, if it is free."""
    number = int(request.param)
    first = number - (processes.own_stamp() >> 32) * 31 % transit._OVERFLOW
    serials = itertools.count(transit._OVERFLOW + first, transit._OVERFLOW)
    monkeypatch.setattr(transit, "_serials", serials)
    return number


def test_a_late_receiver_does_not_clear_the_entry_of_a_newer_handle(entry: int) -> None:
    words, newer = new_words(), []
    first = transit.record_sent(words)

    def receive_and_send_again() -> None:
        transit.record_received(words, first)
        assert tokens(words) == []
        newer.append(transit.record_sent(words))

    late: Any = WordsWithHook(words, transit._word(entry), receive_and_send_again)
    transit.record_received(late, first)
    assert newer[0] & 0xFF == first & 0xFF == entry
    assert newer[0] != first
    assert tokens(words) == newer
    transit.record_received(words, newer[0])
    assert tokens(words) == []


def test_a_received_handle_frees_its_entry() -> None:
    words = new_words()
    for _ in range(3 * transit.ENTRIES):
        token = transit.record_sent(words)
        assert token & 0xFF != transit._OVERFLOW
        transit.record_received(words, token)
    assert tokens(words) == []


def send_as(family: int, words: memoryview[int], patch: pytest.MonkeyPatch) -> None:
    with patch.context() as context:
        context.setattr(processes, "own_stamp", lambda: family + 1)
        context.setattr(processes, "family_stamp", lambda: family)
        transit.record_sent(words)


# No processes with these numbers exist: see pid_max in proc(5).
OWN, OTHER = 5 << 54, 6 << 54


@pytest.mark.parametrize(
    ("overflowing", "is_awaited"),
    [
        ([OWN], False),
        ([OTHER], True),
        ([OTHER, OWN], True),
        ([OWN, OTHER], True),
        ([OTHER, OWN, OWN], True),
        ([OWN, OWN], False),
    ],
)
def test_a_family_that_ends_leaves_the_overflowing_handles_of_others(
    overflowing: list[int], is_awaited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = new_words()
    for family in [OWN] * (transit.ENTRIES - 1) + overflowing:
        send_as(family, words, monkeypatch)
    assert len(tokens(words)) == transit.ENTRIES
    assert transit.is_awaited(bytes(words), OWN) == is_awaited


def test_overflowing_handles_to_strangers_outlive_the_family_that_sends_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = new_words()
    for _ in range(transit.ENTRIES - 1):
        send_as(OWN, words, monkeypatch)
    transit.record_sent(words, to_strangers=True)
    send_as(OWN, words, monkeypatch)
    assert transit.is_awaited(bytes(words), OWN)


def test_an_array_with_every_entry_taken_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transit, "OVERFLOW_GRACE", 0)  # else it stays after the test
    array = sh.ones(3)
    handles = [pickle.dumps(array) for _ in range(2 * transit.ENTRIES)]
    assert sh.inspect(array).in_transit == transit.ENTRIES
    for handle in handles:
        assert pickle.loads(handle).sum() == 3
    assert sh.inspect(array).in_transit == 1  # nobody clears the overflow entry
    del array
