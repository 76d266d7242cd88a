"""Deliver messages: from the bytes of a message to the pipe.

A file belongs to a message until its bytes have left. `Connection.send` writes and
sends in one step. A queue calls its pickler first, and sends the bytes afterwards,
perhaps after waiting for a lock. These bytes are a `Written`, which refers to the
`Parcel` with the message::

                  write                 send_bytes
    Parcel, empty -----> Parcel, Written ---------> Parcel, empty; bytes in the pipe
                            |
                            | the queue's put fails
                            v
                         Parcel, empty; file free

A result of a worker may have to wait: see `sharray.passing.wire.relaying`. Then nothing
is sent here, and its parcel goes through the same steps later.

Invariants: a message with a file is in its parcel, or its bytes have left, or its file
is free. It changes between these states only while signals are deferred.
"""

from __future__ import annotations

import functools
import select
import sys
import types
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from ...system import channels, interrupts
from ..options import Options, State

if TYPE_CHECKING:
    from ...storage.messages.outgoing import Outgoing
    from ...storage.messages.relay import Relay

# A pipe takes so many bytes, with the length of their frame, in one piece.
_LEAVES_AT_ONCE = select.PIPE_BUF - 4


class Message(NamedTuple):
    """The bytes for the pipe, and the file with the arrays.

    Attributes
    ----------
    data : bytes
        The bytes for the pipe.
    outgoing : Outgoing, Relay or None
        The file, if there is one.
    """

    data: bytes
    outgoing: Outgoing | Relay | None = None

    def transmit(self, connection: Any, transmit: Callable[[bytes], None]) -> None:
        """Send the message through a pipe; free its file if that fails.

        Call this in the `interrupts.deferred` block that has made the message, or has
        taken it out of its parcel.

        Parameters
        ----------
        connection : multiprocessing.connection.Connection
            The pipe.
        transmit : callable
            Called with `data`.
        """
        outgoing = self.outgoing
        if outgoing is None:
            transmit(self.data)
            return
        # Before the channel is noted: nobody else recalls the file until then.
        generation = outgoing.generation
        try:
            fd = connection.fileno()
            # Before the bytes leave. Afterwards, the receiver may have freed the file,
            # and it may already carry another thread's message with its own channel.
            outgoing.note_channel(fd)
            # This lets signals in while no byte has left and a recall is possible.
            channels.wait_for_room(fd)
        except BaseException:
            _recall(outgoing, generation)
            raise
        try:
            if len(self.data) <= _LEAVES_AT_ONCE:
                # Signals stay deferred. After the write, one would raise in the sender
                # although the receiver has the message.
                transmit(self.data)
            else:
                # The pipe may fill up meanwhile, and Ctrl-C must be able to end that
                # wait.
                with interrupts.allowed():
                    transmit(self.data)
        except OSError:
            # Recall after OSError only. After any other exception, all bytes may have
            # left. A recall would then give the file to the next message while the
            # receiver reads this one.
            _recall(outgoing, generation)
            raise


def _recall(outgoing: Outgoing | Relay, generation: int) -> None:
    # The sender of `outgoing` has imported it. Messages without files do not need it,
    # nor NumPy, which it imports.
    import_module("sharray.storage.messages.outbox").recall(outgoing, generation)


# Returns a message whose parts need not be copied, from the parts, the pickle and the
# options; or None.
InPlace = Callable[..., Message | None]


class Parcel:
    """An object that a queue pickles and sends, and its message between the two steps.

    As a context manager, it frees the message's file if the block fails.

    Parameters
    ----------
    obj : object
        The object to send. Picklers of other packages pickle the parcel as this
        object.
    """

    __slots__ = ("message", "obj")

    # A method in `relaying.Relayed`.
    in_place: InPlace | None = None

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        self.message: Message | None = None

    def __reduce__(self) -> Any:
        return _itself, (self.obj,)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is not None:
            with interrupts.deferred():
                message = self._take()
                if message is not None and message.outgoing is not None:
                    message.outgoing.recall()

    def keep(self, message: Message) -> None:
        """Keep a message until `send`; `write` calls this before signals can come."""
        self.message = message

    def send(self, connection: Any, transmit: Callable[[bytes], None]) -> bool:
        """Send the message, once.

        Parameters
        ----------
        connection, transmit
            See `Message.transmit`.

        Returns
        -------
        bool
            Whether there was one.
        """
        with interrupts.deferred():
            # Take it here. Outside of the block, a signal before `transmit` would leave
            # a file without an owner. After `transmit`, `__exit__` could free the file
            # of a message that has left.
            message = self._take()
            if message is None:
                return False
            message.transmit(connection, transmit)
        return True

    def _take(self) -> Message | None:
        message, self.message = self.message, None
        return message


def _itself(obj: Any) -> Any:
    return obj


class Written(bytes):
    """The bytes of a message with a file, as a pickler returns them to its queue."""

    parcel: Parcel


def is_written(obj: Any) -> bool:
    """Return whether an object is a parcel whose message is written already."""
    return isinstance(obj, Parcel) and obj.message is not None


def dumps(obj: Any, options: Options | None, write: Callable[..., Message]) -> bytes:
    """Pickle an object for a queue.

    Parameters
    ----------
    obj : object or Parcel
        The object to send.
    options : Options or None
        See `write`; None only if `is_written`.
    write : callable
        `sharray.passing.wire.sending.write`, with a collector.
    """
    parcel = obj if isinstance(obj, Parcel) else Parcel(obj)
    message = parcel.message
    if message is None:
        message = write(parcel.obj, options, parcel.keep, in_place=parcel.in_place)
    if message.outgoing is None:
        return message.data
    written = Written(message.data)
    written.parcel = parcel
    return written


def _plain_parcel(_queue: Any, _put: Any, obj: Any, _: types.FrameType) -> Parcel:
    return Parcel(obj)


def _do_nothing() -> None:
    pass


class Relaying:
    """What `sharray.passing.wire.relaying` does, once it is imported.

    A process without NumPy has no arrays to relay.

    Attributes
    ----------
    parcel : callable
        Return the parcel for an object, from its queue, the queue's `put`, the object
        and the frame of the caller.
    send_waiting : callable
        Send the message that waits until its arrays are gone.
    """

    parcel: ClassVar[Callable[[Any, Any, Any, types.FrameType], Parcel]] = _plain_parcel
    send_waiting: ClassVar[Callable[[], None]] = _do_nothing


def hooked_put(original: Any) -> Any:
    """Return a replacement of `SimpleQueue.put` that frees the file if it fails."""

    @functools.wraps(original)
    def put_or_recall(self: Any, obj: Any) -> None:
        Relaying.send_waiting()  # in the order of the calls
        if State.options is None:
            original(self, obj)
            return
        with Relaying.parcel(self, original, obj, sys._getframe(1)) as parcel:
            original(self, parcel)

    return put_or_recall


def hooked_get(original: Any) -> Any:
    """Return a replacement of a queue's `get` that sends what waits for it."""

    @functools.wraps(original)
    def get_after_sending(self: Any, *arguments: Any, **more: Any) -> Any:
        # Before `get` waits for the queue's lock, which idle workers hold.
        Relaying.send_waiting()
        return original(self, *arguments, **more)

    return get_after_sending
