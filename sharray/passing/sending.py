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

from ..array.core import SharedArray
from ..errors import NoSpaceError, StorageError
from ..storage import outbox
from .collecting import Sources, collector_of
from .options import Options, State
from .packing import Part, copy_parts, room_for, writable_bytes
from .receiving import open_inline, open_message


class Message(NamedTuple):
    """What goes through the pipe, and the file that the rest of it lies in.

    Attributes
    ----------
    data : memoryview
        The bytes for the pipe.
    outgoing : Outgoing or None
        The file, if there is one.
    """

    data: memoryview
    outgoing: outbox.Outgoing | None = None

    def transmit(self, fd: int, transmit: Callable[[memoryview], None]) -> None:
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
        outgoing.note_pipe(fd)
        try:
            transmit(self.data)
        except OSError:
            # After any other exception, it may have left as a whole.
            outgoing.recall()
            raise


# What was pickled last by the pickler of a queue, which sends it right afterwards.
_unsent = threading.local()


def written(message: Message) -> memoryview:
    """Remember a message until `take_written` finds out through which pipe it goes."""
    _unsent.message = message
    return message.data


def take_written(data: Any) -> Message | None:
    """The message that these bytes are, if this thread has just written it."""
    message: Message | None = getattr(_unsent, "message", None)
    _unsent.message = None
    return message if message is not None and message.data is data else None


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
        See `sharray.passing.collecting.collector_of`; that of multiprocessing without.
    """
    file = io.BytesIO()
    sources = Sources(options.threshold)
    collector = collector or collector_of(ForkingPickler)
    collector(file, sources).dump(obj)
    parts = sources.parts
    pickled: memoryview | None = file.getbuffer()
    if len(file.getbuffer()) >= max(options.threshold, 1):
        # Bytes, strings, and classes that pickle their arrays by themselves.
        parts.append(file.getbuffer())
        pickled = None
    if not parts:
        return Message(file.getbuffer())
    copied = [part for part in parts if not isinstance(part, SharedArray)]
    try:
        if not copied:
            return Message(_without_memory(parts, pickled))
        outgoing = outbox.take(sum(room_for(p.nbytes) for p in copied), options.budget)
    except StorageError as error:
        _warn_once(error)
        return Message(_without_memory(parts, pickled))
    try:
        segment = outgoing.segment
        copy_parts(copied, segment.mapping, segment.data_range[0])
        token = outgoing.send(to_strangers=to_strangers)
        call = _Call(
            open_message,
            segment.path,
            segment.identity,
            outgoing.generation,
            token,
            tuple(p if isinstance(p, SharedArray) else p.nbytes for p in parts),
            None if pickled is None else bytes(pickled),
            tuple(options),
        )
        data = memoryview(pickle.dumps(call, 5))
    except BaseException:
        outgoing.recall()
        raise
    return Message(data, outgoing)


def _without_memory(parts: list[Part], pickled: memoryview | None) -> memoryview:
    """The same message, all of it in the pipe.

    Not the object pickled once more: what its classes do then may be done only once.
    """
    buffers = [
        p if isinstance(p, SharedArray) else pickle.PickleBuffer(writable_bytes(p))
        for p in parts
    ]
    whole = buffers.pop() if pickled is None else bytes(pickled)
    return memoryview(pickle.dumps(_Call(open_inline, whole, buffers), 5))


def _warn_once(error: StorageError) -> None:
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
