"""Messages: from an object to the bytes that go through the pipe."""

from __future__ import annotations

import io
import pickle
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
from ...system import processes
from ..options import CROSSOVER, Options, State
from .collecting import Sources, collector_of
from .packing import Part, copy_parts, room_for, writable_bytes
from .receiving import is_message, open_inline, open_message, take_values

# A shorter pickle goes through the pipe even if the arrays do not.
_SHORT = 4096


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

    def transmit(self, fd: int, transmit: Callable[[bytes], None]) -> None:
        """Send it through a pipe, or have the file back if that fails.

        Parameters
        ----------
        fd : int
            The pipe.
        transmit : callable
            Is called with `data`.
        """
        outgoing = self.outgoing
        if outgoing is None:
            transmit(self.data)
            return
        outgoing.note_channel(fd)
        try:
            transmit(self.data)
        except OSError:
            # After any other exception, it may have left as a whole.
            outgoing.recall()
            raise


# What was pickled last by the pickler of a queue, which sends it right afterwards.
_unsent = threading.local()


def written(message: Message) -> bytes:
    """Remember a message until `take_written` finds out through which pipe it goes."""
    _unsent.message = message
    return message.data


def take_written(data: Any) -> Message | None:
    """The message that these bytes are, if this thread has just written it."""
    message: Message | None = getattr(_unsent, "message", None)
    _unsent.message = None
    return message if message is not None and message.data is data else None


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


def write(
    obj: Any,
    options: Options,
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
    parts, pickled = sources.parts, file.getvalue()
    if not parts and len(pickled) < max(options.threshold, CROSSOVER):
        return Message(pickled)
    if parts and len(pickled) < _SHORT:
        return _with_memory(parts, pickled, options, to_strangers)
    # Bytes, strings, many small arrays, classes that pickle arrays by themselves.
    parts.append(memoryview(pickled))
    return _with_memory(parts, None, options, to_strangers)


def _with_memory(
    parts: list[Part], pickled: bytes | None, options: Options, to_strangers: bool
) -> Message:
    """A message whose parts are in shared memory; the pickle is the last if None."""
    copied = [part for part in parts if not isinstance(part, SharedArray)]
    if not copied:
        return Message(_without_memory(parts, pickled))
    outgoing = None
    try:
        outgoing = outbox.take(sum(room_for(p.nbytes) for p in copied), options.budget)
        if outgoing is None:  # a queue that is not read: the pipe holds the sender up
            return Message(_without_memory(parts, pickled))
        segment = outgoing.segment
        copy_parts(copied, segment.mapping, segment.data_range[0])
        token = outgoing.send(to_strangers=to_strangers)
        if token is None:
            return Message(_without_memory(parts, pickled))
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
        return Message(_without_memory(parts, pickled))
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
