"""Messages: from an object to the bytes that go through the pipe.

A file belongs to a message until its bytes have left: signals are deferred from the
claim of the file to the write, so that Ctrl-C finds either no message, or one that has
left as a whole. Let in are signals while arrays are copied, and while a full pipe is
waited for; a file whose message does not leave then is free again.

The pickler of a queue is called by a method that sends the bytes afterwards. There,
the file belongs to the thread until `send_written`, and `put` frees it if the bytes
were dropped.
"""

from __future__ import annotations

import functools
import io
import pickle
import select
import sys
import threading
import warnings
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

from ...array.core import SharedArray
from ...errors import NoSpaceError, SharrayError
from ...storage.messages import outbox
from ...storage.messages.outgoing import Outgoing
from ...system import channels, interrupts, processes
from ..options import CROSSOVER, Options, State
from .collecting import Sources, collector_of
from .packing import Part, copy_parts, room_for, writable_bytes
from .receiving import is_message, open_inline, open_message, take_values

# A shorter pickle goes through the pipe even if the arrays do not.
_SHORT = 4096
# Copying less takes less than a millisecond; letting signals in, 2 us.
_TAKES_LONG = 1 << 20
# With the length of its frame, a pipe takes it as a whole.
_LEAVES_AT_ONCE = select.PIPE_BUF - 4


class Message(NamedTuple):
    """What goes through the pipe, and the file that the rest of it lies in.

    Attributes
    ----------
    data : bytes
        The bytes for the pipe.
    outgoing : Outgoing or None
        The file, if there is one.
    """

    data: bytes
    outgoing: Outgoing | None = None

    def transmit(self, connection: Any, transmit: Callable[[bytes], None]) -> None:
        """Send it through a pipe, or have the file back if that fails.

        Call it in the `interrupts.deferred` block that has made the message.

        Parameters
        ----------
        connection : multiprocessing.connection.Connection
            The pipe.
        transmit : callable
            Is called with `data`.
        """
        outgoing = self.outgoing
        if outgoing is None:
            transmit(self.data)
            return
        try:
            fd = connection.fileno()
            outgoing.note_channel(fd)
            channels.wait_for_room(fd)
        except BaseException:
            outgoing.recall()
            raise
        try:
            if len(self.data) <= _LEAVES_AT_ONCE:
                transmit(self.data)
            else:
                with interrupts.allowed():
                    transmit(self.data)
        except OSError:
            # After any other exception, it may have left as a whole.
            outgoing.recall()
            raise


class _Unsent(threading.local):
    """What the pickler of a queue has pickled last, which sends it right afterwards."""

    message: Message | None = None


_unsent = _Unsent()


def remember(message: Message) -> None:
    """Remember a message until `send_written` finds out through which pipe it goes."""
    _unsent.message = message


def send_written(data: Any, connection: Any, transmit: Callable[[bytes], None]) -> bool:
    """Send bytes if they are the message that this thread has just written.

    Parameters
    ----------
    data : bytes
        What is to be sent.
    connection, transmit
        See `Message.transmit`.

    Returns
    -------
    bool
        Whether they were.
    """
    message = _unsent.message
    if message is None or message.data is not data:
        _unsent.message = None
        return False
    if message.outgoing is None:
        _unsent.message = None
        transmit(message.data)
        return True
    with interrupts.deferred():
        _unsent.message = None  # not before: `put` frees what is still there
        message.transmit(connection, transmit)
    return True


def put(put: Callable[..., None], *arguments: Any) -> None:
    """Call what pickles a message and sends it; if it fails, the file is free again.

    Parameters
    ----------
    put : callable
        Calls `remember` and `send_written`.
    *arguments
        For it.
    """
    _unsent.message = None
    try:
        put(*arguments)
    except BaseException:
        with interrupts.deferred():
            message, _unsent.message = _unsent.message, None
            if message is not None and message.outgoing is not None:
                message.outgoing.recall()
        raise


def hooked_put(original: Any) -> Any:
    """`SimpleQueue.put`: what its pickler has written and nobody sends is no more."""

    @functools.wraps(original)
    def put_or_recall(self: Any, obj: Any) -> None:
        put(original, self, obj)

    return put_or_recall


# The last message that was sent on, and the same with its values.
_sent_on: tuple[bytes, bytes] | None = None


def with_values(data: Any) -> Any:
    """Bytes that are sent on: a message with all of its arrays, anything else as it is.

    A message can be opened once. Whoever sends its bytes to two readers would have the
    second one fail, so they get the values, and this process takes the memory.

    Raises
    ------
    MessageError
        Its memory is gone: somebody has opened it before.
    """
    global _sent_on
    if not is_message(data):
        return data
    raw, last = bytes(data), _sent_on
    if last is None or last[0] != raw:
        with interrupts.deferred():  # what was taken can be taken only once
            pickled, parts = take_values(raw)
            last = _sent_on = raw, _without_memory(parts, pickled)
    return last[1]


class _Call:
    """Pickles as the call of a function, which unpickling makes."""

    __slots__ = ("_arguments", "_function")

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._function = function
        self._arguments = arguments

    def __reduce__(self) -> Any:
        return self._function, self._arguments


Collector = Callable[[io.BytesIO, Sources], Any]


def _keep(_: Message) -> None:
    """Leave it to the caller to send a message."""


def write(
    obj: Any,
    options: Options,
    deliver: Callable[[Message], None] = _keep,
    *,
    to_strangers: bool = False,
    collector: Collector | None = None,
) -> Message:
    """Pickle an object; its arrays go to shared memory if that is worth it.

    Parameters
    ----------
    obj : object
        What multiprocessing can pickle.
    options : Options
        From which size on, and how much memory.
    deliver : callable
        Is called with the message before an interrupt can lose it.
    to_strangers : bool
        Whether the receiver may outlive this process without being its parent.
    collector : callable
        See `sharray.passing.wire.collecting.collector_of`; that of multiprocessing
        without.
    """
    file = io.BytesIO()
    sources = Sources(options.threshold)
    collector = collector or collector_of(ForkingPickler)
    collector(file, sources).dump(obj)
    parts, whole = sources.parts, file.getvalue()
    if not parts and len(whole) < max(options.threshold, CROSSOVER):
        message = Message(whole)
        deliver(message)
        return message
    pickled = whole if parts and len(whole) < _SHORT else None
    if pickled is None:
        # Bytes, strings, many small arrays, classes that pickle arrays by themselves.
        parts.append(memoryview(whole))
    with interrupts.deferred():
        in_memory = _in_memory(parts, pickled, options, to_strangers)
        if in_memory is not None:
            deliver(in_memory)
            return in_memory
    message = Message(_without_memory(parts, pickled))
    deliver(message)
    return message


def _in_memory(
    parts: list[Part], pickled: bytes | None, options: Options, to_strangers: bool
) -> Message | None:
    """A message whose parts are in shared memory; the pickle is the last if None.

    None if there is no memory for them.
    """
    copied = [part for part in parts if not isinstance(part, SharedArray)]
    if not copied:
        return None
    outgoing = None
    try:
        nbytes = sum(room_for(p.nbytes) for p in copied)
        outgoing = outbox.take(nbytes, options.budget)
        if outgoing is None:  # a queue that is not read: the pipe holds the sender up
            return None
        segment = outgoing.segment
        if nbytes < _TAKES_LONG:
            copy_parts(copied, segment.mapping, segment.data_range[0])
            interrupts.check()
        else:
            with interrupts.allowed():
                copy_parts(copied, segment.mapping, segment.data_range[0])
        token = outgoing.send(to_strangers=to_strangers)
        if token is None:
            return None
        call = _Call(
            open_message,
            segment.path,
            segment.identity,
            outgoing.generation,
            token,
            tuple(p if isinstance(p, SharedArray) else p.nbytes for p in parts),
            pickled,
            tuple(options),
            processes.family_identity(),
        )
        return Message(pickle.dumps(call, 5), outgoing)
    except (OSError, ImportError, SharrayError) as error:
        # No descriptor, no room, or another user than the one who has imported this.
        if outgoing is not None:
            outgoing.recall()
        _warn_once(error)
        return None
    except BaseException:
        if outgoing is not None:
            outgoing.recall()
        raise


def _without_memory(parts: list[Part], pickled: bytes | None) -> bytes:
    """The same message, all of it in the pipe.

    Not the object pickled once more: what its classes do then may be done only once.
    """
    if pickled is None:
        *parts, whole = parts
        pickled = bytes(whole)
    if not parts:
        return pickled
    buffers = [
        p if isinstance(p, SharedArray) else pickle.PickleBuffer(writable_bytes(p))
        for p in parts
    ]
    return pickle.dumps(_Call(open_inline, pickled, buffers), 5)


def _warn_once(error: Exception) -> None:
    if State.warned:
        return
    State.warned = True
    text = (
        f"sharray: no shared memory for a message ({error}), so it is pickled into the "
        "pipe as without sharray, slower; drop received arrays that are not needed, "
        "read what queues hold, give sharray.install a larger budget"
    )
    if isinstance(error, NoSpaceError):
        text += ", or the RAM disk more room (mount -o remount,size=... /dev/shm)"
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=4)
    except RuntimeWarning:
        # Warnings are errors here, but in a queue's thread one would lose the message.
        print(text, file=sys.stderr)
