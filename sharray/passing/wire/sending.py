"""Writing messages: from an object to the bytes for the pipe.

::

    pickle, arrays set aside -> claim a file -> copy -> IN_FLIGHT -> deliver
                                |                                       |
                                +---------- signals deferred -----------+

Signals are deferred from the claim of the file to the end of the delivery, so that
Ctrl-C finds either no message, or one that somebody is responsible for. Only while
large arrays are copied, they are let in; a file whose message does not leave then is
free again. `delivering` says what comes next.
"""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

from ...array.core import SharedArray
from ...errors import NoSpaceError, SharrayError
from ...storage.messages import outbox
from ...system import interrupts, processes
from ..options import CROSSOVER, Options, State
from .collecting import Sources, collector_of
from .delivering import Message
from .packing import Part, copy_parts, room_for, writable_bytes
from .receiving import open_inline, open_message

# A shorter pickle goes through the pipe even if the arrays do not.
_SHORT = 4096
# Copying less takes less than a millisecond; letting signals in, 2 us.
_TAKES_LONG = 1 << 20


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
    # Up to the delivery: a signal in between would leave a file IN_FLIGHT whose message
    # nobody sends or recalls, so that no other message could use it.
    with interrupts.deferred():
        in_memory = _in_memory(parts, pickled, options, to_strangers)
        if in_memory is not None:
            deliver(in_memory)
            return in_memory
    message = Message(without_memory(parts, pickled))
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
        # After the copy: others take the data of a file that is IN_FLIGHT, and would
        # take half of it. Before the pickle, which names the token.
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
            processes.family_stamp(),
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


def without_memory(parts: list[Part], pickled: bytes | None) -> bytes:
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
