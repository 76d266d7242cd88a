"""Threads that send, receive and drop, in all orders of the lines of messages."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import passing_pressure as pressure
import pytest
from belongings import files_in_ram
from interleaving import Actor, explore
from line_steps import nothing_but_the_order, thread_of
from passing_pressure import checksum, payload, sent

import sharray as sh
from sharray.storage import ending, file_sharing, segment
from sharray.storage.messages import inbox, incoming, outbox, outgoing, taking
from sharray.system import finalizing

MODULES = [
    ending,
    file_sharing,
    finalizing,
    inbox,
    incoming,
    outbox,
    outgoing,
    segment,
    taking,
]
LOCKS: dict[ModuleType, str] = {
    file_sharing: "_changing",
    inbox: "_receiving",
    outbox: "_choosing",
    segment: "_publishing",
}
CONTENTS = [payload(seed) for seed in range(4)]
SUMS = [checksum(content) for content in CONTENTS]


@pytest.fixture(autouse=True)
def _steps() -> Iterator[None]:
    with nothing_but_the_order(LOCKS), sh.installed():
        yield
    start_anew()


def start_anew() -> None:
    """Close all files of messages, as in a process that has had none."""
    pressure.forget_outbox()
    inbox.drop_orphans()


class Threads:
    """A process with messages and received arrays, and what its threads do with them.

    Parameters
    ----------
    held, free, waiting : int
        How many files have arrays of this process in them, are free, and are on their
        way.
    given_up : bool, default False
        Whether the files with arrays have no owner any more.
    """

    def __init__(
        self, *, held: int = 0, free: int = 0, waiting: int = 0, given_up: bool = False
    ) -> None:
        start_anew()
        self.held = [pickle.loads(sent(CONTENTS[i])) for i in range(held)]
        if given_up:
            pressure.forget_outbox()
        used = [pickle.loads(sent(CONTENTS[0])) for _ in range(free)]
        del used
        self.waiting = [(i, sent(CONTENTS[i])) for i in range(waiting)]
        self.received: list[tuple[int, Any]] = []
        self.refused = 0

    # -- what they do -----------------------------------------------------------

    def receive(self) -> None:
        """Receive a message; the last one is there for everybody."""
        seed, message = self.waiting[-1]
        try:
            self.received.append((seed, pickle.loads(message)))
        except sh.MessageError:
            self.refused += 1

    def receive_and_drop(self) -> None:
        """Receive a message, and need it no more."""
        self.receive()
        self._check_received()
        self.received.clear()

    def send_and_receive(self) -> None:
        """Receive a message of one's own."""
        x = pickle.loads(sent(CONTENTS[3]))
        assert checksum(x) == SUMS[3]

    def drop(self) -> None:
        """Need the arrays no more."""
        self.held.clear()

    def count(self) -> None:
        """Ask for the messages that were relayed."""
        assert inbox.count_out() == 0

    def give_back(self) -> None:
        """Give back all memory that nothing needs."""
        outbox.trim()
        inbox.drop_orphans()

    # -- what becomes of it -----------------------------------------------------

    def _check_received(self) -> None:
        for seed, x in self.received:
            assert checksum(x) == SUMS[seed]

    def check_end(self, refused: int) -> None:
        """Check that arrays are as they were, and that their files can be used again.

        The end of the test looks for files and mappings that are left.
        """
        assert [checksum(x) for x in self.held] == SUMS[: len(self.held)]
        self._check_received()
        assert self.refused == refused
        self.held.clear()
        self.received.clear()
        assert not incoming.held
        assert not incoming.freeing
        assert all(outgoing.is_free() for outgoing in outbox._outgoing)


# What there is at first, what the threads do, and how many get no message.
SCENARIOS: dict[str, tuple[dict[str, Any], list[str], int]] = {
    "one receives, one drops": ({"held": 2, "waiting": 1}, ["receive", "drop"], 0),
    "the dropped files are unmapped": (
        {"held": 2, "waiting": 1, "given_up": True},
        ["receive", "drop"],
        0,
    ),
    "both receive the same": ({"waiting": 1}, ["receive", "receive"], 1),
    "the same comes again": ({"waiting": 1}, ["receive_and_drop", "receive"], 1),
    "relays are counted": ({"held": 2, "given_up": True}, ["count", "drop"], 0),
    "a kept file is needed": (
        {"held": 1, "free": 1, "waiting": 1},
        ["count", "receive_and_drop"],
        0,
    ),
    "memory is given back": (
        {"free": 1, "waiting": 1},
        ["give_back", "receive_and_drop"],
        0,
    ),
    "dropped and given back": ({"held": 2}, ["give_back", "drop"], 0),
    "both send": ({"free": 1}, ["send_and_receive", "send_and_receive"], 0),
}


def check_orders(name: str) -> int:
    """Run a scenario in all orders with one switch; return how many there are."""
    beginning, acts, refused = SCENARIOS[name]

    def scenario() -> tuple[list[Actor], Callable[[], None]]:
        threads = Threads(**beginning)
        actors = [thread_of(getattr(threads, act), MODULES) for act in acts]
        return actors, lambda: threads.check_end(refused)

    return explore(scenario, switches=1)


@pytest.mark.parametrize("name", SCENARIOS)
def test_threads_get_their_messages(name: str) -> None:
    assert check_orders(name) > 50


def look_at_the_file(self: incoming.Incoming) -> bool:
    return self.is_from_here()


def leave_them_there() -> Iterator[incoming.Incoming]:
    yield from list(incoming.kept.values())


@pytest.mark.parametrize(
    ("owner", "name", "altered"),
    [
        (incoming.Incoming, "has_come_back", look_at_the_file),
        (inbox, "_each_kept", leave_them_there),
        (incoming.Incoming, "_has", lambda *_: True),
    ],
)
def test_a_missing_safeguard_is_noticed(
    owner: Any, name: str, altered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, altered)
        with pytest.raises((AssertionError, TypeError, ValueError)):
            sum(map(check_orders, SCENARIOS))
    forget_what_failed()


def forget_what_failed() -> None:
    """Unmap what a thread has left that ended in the middle."""
    gc.collect()
    for files in (incoming.held, incoming.freeing, incoming.kept):
        while files:
            files.popitem()[1].drop()
    pressure.forget_outbox()
    for path in files_in_ram():
        os.unlink(path)
