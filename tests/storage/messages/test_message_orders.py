"""In every order of the steps of owner and receivers, each message arrives whole.

Owner, receivers and relaying processes are threads, each with its own mapping and its
own open file. Their steps are the accesses to words of the trailer, to its locks and to
the data: see `sharray.storage.message_states`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from interleaving import Actor, Words, explore, step
from message_files import open_by_another, recall_all, send
from passing_pressure import forget_outbox

from sharray.storage import trailer
from sharray.storage.lifetime import transit
from sharray.storage.messages import outbox
from sharray.storage.messages.incoming import Incoming, held
from sharray.storage.messages.outgoing import Outgoing
from sharray.system import locks

FIRST, NEXT = b"first", b"later"
# Files that processes of this scenario have mapped.
opened: list[Incoming] = []
Scenario = tuple[list[Actor], Callable[[], None]]


@pytest.fixture(autouse=True)
def _steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let locks be steps, and processes keep no file for another message."""
    for name in ("lock_byte", "unlock_byte", "is_byte_locked"):
        monkeypatch.setattr(locks, name, after_a_step(getattr(locks, name)))
    monkeypatch.setattr(Incoming, "keep", lambda _: None)
    forget_outbox()
    yield
    for incoming in list(opened):
        end(incoming)
    recall_all()


def end(incoming: Incoming) -> None:
    """Let a process end that has a file mapped."""
    opened.remove(incoming)
    held.pop(id(incoming), None)
    incoming.drop()


def after_a_step(function: Callable[..., Any]) -> Callable[..., Any]:
    def take_step(*arguments: Any, **more: Any) -> Any:
        step()
        return function(*arguments, **more)

    return take_step


class Sent(NamedTuple):
    """What the bytes of a message say, and what lies in its file."""

    generation: int
    token: int
    content: bytes


class Processes:
    """The owner of a file, the processes that receive from it, and what they do.

    Attributes
    ----------
    outgoing : Outgoing
        The file, as the owner has it.
    pipe : list of Sent
        Messages that have left and that nobody has read.
    read, arrived : list of int
        Generations of messages that were read, and whose data has arrived.
    """

    def __init__(self) -> None:
        self._forget_entries()
        self.outgoing, token = send(FIRST)
        self.pipe = [Sent(self.outgoing.generation, token, FIRST)]
        self.read: list[int] = []
        self.arrived: list[int] = []
        self._kept: list[tuple[Incoming, Sent]] = []
        watch(self.outgoing)

    def _forget_entries(self) -> None:
        """Let each scenario begin with the same words."""
        for outgoing in outbox._outgoing:
            entries = slice(trailer.TRANSIT_WORD, trailer.PAGE_WORDS)
            words = outgoing.segment.words
            words[entries] = memoryview(bytes(8 * len(words[entries]))).cast("Q")

    # -- what they do -----------------------------------------------------------

    def send_next(self) -> None:
        """Send another message in the same file, if it is free."""
        outgoing = self.outgoing
        if outgoing.is_free():
            outgoing.claim()
            step()
            outgoing.segment.data[:5] = NEXT
            token = outgoing.send()
            assert token is not None
            self.pipe.append(Sent(outgoing.generation, token, NEXT))

    def forbid_and_send_next(self) -> None:
        """Have who relays the message find that only its owner may send."""
        self.outgoing.segment.words[trailer.LOOK_WORD] = 1
        self.send_next()

    def recall_and_send_next(self) -> None:
        """Take the message for lost, although a process has read its bytes."""
        if self.outgoing.is_in_flight():
            self.outgoing.recall_lost()
        self.send_next()

    def keep(self, incoming: Incoming, sent: Sent) -> bool:
        """Receive a message, and keep its data to the end."""
        if not incoming.hold(sent.generation, sent.token):
            return False
        self._kept.append((incoming, sent))
        self.arrived.append(sent.generation)
        step()
        self._look_at(incoming, sent)
        return True

    def receive(self, incoming: Incoming, sent: Sent) -> None:
        """Receive a message, and give its memory back."""
        if self.keep(incoming, sent):
            self._free(incoming, sent)

    def receive_copy(self, incoming: Incoming, sent: Sent) -> None:
        """Receive a copy of a message."""
        places = [(0, len(FIRST))]
        found = incoming.copy(sent.generation, sent.token, places, interruptible=False)
        if found is not None:
            assert found == [sent.content]
            self.arrived.append(sent.generation)

    def relay(self, incoming: Incoming, sent: Sent) -> int | None:
        """Receive a message, and send its data on."""
        if not self.keep(incoming, sent):
            return None
        token = incoming.send_on()
        if token is None:
            self._free(incoming, sent)
        else:
            self._kept.remove((incoming, sent))
            self.pipe.append(Sent(incoming.generation, token, sent.content))
        return token

    def relay_in_vain(self, incoming: Incoming, sent: Sent) -> None:
        """Send the data on through a broken pipe, from which a process has read it."""
        token = self.relay(incoming, sent)
        if token is not None:
            incoming.recall(token)

    def _look_at(self, incoming: Incoming, sent: Sent) -> None:
        assert bytes(incoming.segment.data[: len(FIRST)]) == sent.content

    def _free(self, incoming: Incoming, sent: Sent) -> None:
        self._look_at(incoming, sent)
        self._kept.remove((incoming, sent))
        incoming.take_over()
        incoming.free()

    # -- who does it ------------------------------------------------------------

    def reader(self, act: Callable[[Incoming, Sent], object]) -> Actor:
        """Return a process that does something with the next message of the pipe."""
        incoming = open_by_another(self.outgoing)
        watch(incoming)
        opened.append(incoming)

        def read() -> None:
            sent = self.pipe.pop(0)
            self.read.append(sent.generation)
            act(incoming, sent)

        return Actor(
            read,
            can_start=lambda: bool(self.pipe),
            at_kill=lambda: self._end(incoming),
        )

    def _end(self, incoming: Incoming) -> None:
        self._kept = [one for one in self._kept if one[0] is not incoming]
        end(incoming)

    def check_end(self) -> None:
        """Check that the file can be used again, and that no entry is left."""
        assert len(set(self.arrived)) == len(self.arrived)
        for incoming, sent in self._kept[:]:
            self._free(incoming, sent)
        if self.outgoing.is_in_flight():  # nobody has the pipe any more
            self.outgoing.recall_lost()
        assert self.outgoing.is_free()
        self.outgoing.claim()
        assert not list(transit.on_the_way(self.outgoing.segment.words))
        self.outgoing.recall()
        for incoming in list(opened):
            end(incoming)


def watch(file: Outgoing | Incoming) -> None:
    """Let accesses to the words of a file be steps."""
    segment: Any = file.segment
    if not isinstance(segment.words, Words):
        segment._words = Words(segment.words)


# What the readers do, and the owner; how often the first message is delivered.
SCENARIOS = {
    "freed": (["receive", "keep"], "send_next", 1),
    "copied": (["receive_copy", "keep"], "send_next", 1),
    "delivered twice": (["receive", "receive_copy"], "send_next", 2),
    "lost": (["receive", "keep"], "recall_and_send_next", 1),
    "lost or copied": (["receive_copy", "keep"], "recall_and_send_next", 1),
    "relayed": (["relay", "keep"], "send_next", 1),
    "relayed and freed": (["relay", "receive"], "send_next", 1),
    "relayed and delivered twice": (["relay", "keep"], "send_next", 2),
    "relayed or not": (["relay", "receive"], "forbid_and_send_next", 1),
    "relayed in vain": (["relay_in_vain", "keep"], "recall_and_send_next", 1),
    "lost or relayed": (["relay", "keep"], "recall_and_send_next", 1),
}


def check_orders(name: str, *, switches: int, kills: bool) -> int:
    """Run a scenario in all orders; return how many there are."""
    readers, owner, times = SCENARIOS[name]

    def scenario() -> Scenario:
        processes = Processes()
        processes.pipe *= times
        actors = [processes.reader(getattr(processes, act)) for act in readers]
        if not kills:
            for actor in actors:
                actor.at_kill = None

        def check_end() -> None:
            processes.check_end()
            if not kills and "recall" not in owner:
                assert set(processes.arrived) == set(processes.read)

        return [*actors, Actor(getattr(processes, owner))], check_end

    return explore(scenario, switches=switches)


@pytest.mark.parametrize("name", SCENARIOS)
def test_messages_arrive_once_and_whole(name: str) -> None:
    assert check_orders(name, switches=2, kills=False) > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_messages_arrive_once_and_whole_if_processes_are_killed(name: str) -> None:
    assert check_orders(name, switches=2, kills=True) > 300


@pytest.mark.slow
@pytest.mark.parametrize("name", ["freed", "relayed", "lost or relayed"])
def test_messages_arrive_once_and_whole_with_more_switches(name: str) -> None:
    assert check_orders(name, switches=3, kills=False) > 300


def lock_nothing(incoming: Incoming, generation: int) -> bool:
    incoming._generation = generation
    return True


@pytest.mark.parametrize(
    ("owner", "method", "altered"),
    [
        (Outgoing, "_is_locked", lambda *_: False),
        (Incoming, "_lock", lock_nothing),
        (Incoming, "_has", lambda *_: True),
    ],
)
def test_a_missing_safeguard_is_noticed(
    owner: type, method: str, altered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, method, altered)
    check = functools.partial(check_orders, switches=2, kills=False)
    with pytest.raises(AssertionError):
        sum(map(check, SCENARIOS))
