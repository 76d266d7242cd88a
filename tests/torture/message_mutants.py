"""Messages without one of their safeguards: what the torture has to notice."""

from __future__ import annotations

import os

from sharray.storage import message_states as message
from sharray.storage import trailer
from sharray.storage.lifetime import transit
from sharray.storage.messages import outbox
from sharray.storage.messages.incoming import Incoming
from sharray.storage.messages.incoming import held as _held_here
from sharray.storage.messages.outgoing import Outgoing
from sharray.system import locks


def _state(file: Incoming | Outgoing) -> int:
    return file.segment.words[trailer.STATE_WORD]


def _set_state(file: Incoming | Outgoing, state: int) -> None:
    file.segment.words[trailer.STATE_WORD] = state


def use_held_memory_without_asking_for_the_lock() -> None:
    """The receiver may live, and use it."""
    Outgoing.is_free = lambda self: _state(self) in (message.FREE, message.HELD)


def hold_without_a_lock() -> None:
    """The sender takes the receiver for dead."""
    locks.lock_byte = lambda *_: True


def receive_without_looking_for_the_generation() -> None:
    """The message may be an old one, and the memory another's."""
    Incoming._has = lambda *_: True


def free_at_receipt() -> None:
    """Arrays still lie in it."""
    take_over = Incoming.take_over

    def take_over_and_free(self: Incoming) -> None:
        take_over(self)
        _set_state(self, message.FREE)

    Incoming.take_over = take_over_and_free


def fork_with_shared_arrays() -> None:
    """Parent and child see what the other writes to received arrays."""

    def make_own(self: Incoming) -> None:
        _held_here[id(self)] = self

    Incoming.make_own = make_own


def send_in_the_memory_of_the_parent() -> None:
    """Parent and child send different messages in one file."""
    inherited: list[Outgoing] = []
    Outgoing.drop_in_child = lambda self: inherited.append(self)

    def keep() -> None:
        outbox._outgoing.extend(inherited)
        inherited.clear()

    os.register_at_fork(after_in_child=keep)


def send_without_an_entry() -> None:
    """Nobody knows that a message is awaited whose sender has ended."""

    def send(self: Outgoing, *, to_strangers: bool = False) -> int:
        _set_state(self, message.IN_FLIGHT)
        return 0

    Outgoing.send = send


def send_in_a_file_without_a_name() -> None:
    """A receiver that forked or ended has removed it."""
    Outgoing.is_lost = lambda _: False


def await_no_message_of_a_dead_sender() -> None:
    """Although the sender's parent may still read it."""
    transit.IN_FLIGHT = -1


# And how the torture notices.
MUTANTS = {
    use_held_memory_without_asking_for_the_lock: "content_wrong",
    hold_without_a_lock: "content_wrong",
    receive_without_looking_for_the_generation: "opened_twice",
    free_at_receipt: "content_wrong",
    fork_with_shared_arrays: "content_wrong",
    send_in_the_memory_of_the_parent: "inherited",
    send_without_an_entry: "lost",
    send_in_a_file_without_a_name: "lost",
    await_no_message_of_a_dead_sender: "lost",
}
BY_NAME = {mutant.__name__: mutant for mutant in MUTANTS}
