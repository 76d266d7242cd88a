"""Write messages: from an object to the bytes for the pipe.

::

    pickle, arrays set aside -> claim a file -> copy -> IN_FLIGHT -> deliver
                                |                                       |
                                +---------- signals deferred -----------+

A new file is made with the arrays instead, since a copy through a fresh mapping would
fault at each page.

Signals are deferred from the claim of the file to the end of the delivery. So Ctrl-C
finds either no message, or one that has an owner who sends or recalls it. Signals are
let in only while large arrays are copied, or written to a new file; an interrupt there
frees the file again, or leaves none.
`delivering` describes the next steps.
"""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

from ...arrays.core import SharedArray
from ...errors import NoSpaceError, SharrayError
from ...storage.messages import outbox
from ...storage.messages.outgoing import Outgoing
from ...storage.messages.relay import Relay
from ...system import interrupts, processes

# The first message without a file needs it. Later, the process may be unable to import.
from ...system import limits as limits
from ..options import CROSSOVER, Options, State
from .collecting import Sources, collector_of
from .delivering import InPlace, Message
from .packing import (
    Part,
    Place,
    blocks_of,
    copy_parts,
    places_of,
    room_for,
    writable_bytes,
)
from .receiving import open_inline, open_message

# A shorter pickle goes through the pipe even if the arrays go through a file.
_SHORT = 4096
# Copying less takes less than a millisecond. Letting signals in takes 2 us.
_TAKES_LONG = 1 << 20


class _Call:
    """An object that pickles as a call of a function, which unpickling makes."""

    __slots__ = ("_arguments", "_function")

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._function = function
        self._arguments = arguments

    def __reduce__(self) -> Any:
        return self._function, self._arguments


Collector = Callable[[io.BytesIO, Sources], Any]


def _keep(_: Message) -> None:
    """Do nothing: the caller sends the message."""


def write(
    obj: Any,
    options: Options,
    deliver: Callable[[Message], None] = _keep,
    *,
    to_strangers: bool = False,
    collector: Collector | None = None,
    in_place: InPlace | None = None,
) -> Message:
    """Pickle an object; copy its arrays to shared memory if they are large enough.

    Parameters
    ----------
    obj : object
        Any object that multiprocessing can pickle.
    options : Options
        The threshold and the budget.
    deliver : callable
        Called with the message, before an interrupt can lose it.
    to_strangers : bool
        Whether the receiver may outlive this process without being its parent.
    collector : callable
        From `sharray.passing.wire.collecting.collector_of`; by default that of
        multiprocessing's pickler.
    in_place : callable, optional
        From `sharray.passing.wire.relaying`.
    """
    file = io.BytesIO()
    sources = Sources(options.threshold)
    collector = collector or collector_of(ForkingPickler)
    collector(file, sources).dump(obj)
    return write_parts(
        sources.parts,
        file.getvalue(),
        options,
        deliver,
        to_strangers=to_strangers,
        in_place=in_place,
    )


def write_parts(
    parts: list[Part],
    whole: bytes,
    options: Options,
    deliver: Callable[[Message], None],
    *,
    to_strangers: bool = False,
    in_place: InPlace | None = None,
) -> Message:
    """Write a message whose object is pickled; see `write`.

    Parameters
    ----------
    parts : list of ndarray or memoryview
        The memory that was set aside.
    whole : bytes
        The pickle.
    options, deliver, to_strangers, in_place
        See `write`.
    """
    if not parts and (len(whole) < CROSSOVER or len(whole) < options.threshold):
        message = Message(whole)
        deliver(message)
        return message
    if parts and in_place is not None:
        with interrupts.deferred():
            found = in_place(parts, whole, options)
            if found is not None:
                deliver(found)
                return found
    pickled = whole if parts and len(whole) < _SHORT else None
    if pickled is None:
        # The pickle is large: bytes, strings, many small arrays, or classes that pickle
        # arrays themselves.
        parts.append(memoryview(whole))
    # Deferred up to the delivery. A signal in between would leave a file IN_FLIGHT
    # whose message nobody sends or recalls, and no other message could use it.
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
    """Return a message whose parts are in shared memory; None if there is no memory.

    If `pickled` is None, the pickle is the last part.
    """
    copied = [part for part in parts if not isinstance(part, SharedArray)]
    if not copied:
        return None
    outgoing = None
    try:
        nbytes = sum(room_for(p.nbytes) for p in copied)
        outgoing = outbox.take(nbytes, options.budget, lambda: blocks_of(copied))
        if outgoing is None:  # nobody reads the queue: the pipe makes the sender wait
            return None
        segment = outgoing.segment
        if outgoing.has_contents:
            interrupts.check()
        elif nbytes < _TAKES_LONG:
            copy_parts(copied, segment.mapping, segment.data_range[0])
            interrupts.check()
        else:
            with interrupts.allowed():
                copy_parts(copied, segment.mapping, segment.data_range[0])
        # After the copy: a receiver may read a file that is IN_FLIGHT, and would get
        # incomplete data. Before the pickle, which contains the token.
        token = outgoing.send(to_strangers=to_strangers)
        if token is None:
            return None
        own = iter(places_of([part.nbytes for part in copied]))
        places = [p if isinstance(p, SharedArray) else next(own) for p in parts]
        return named(outgoing, token, places, pickled, options)
    except (OSError, ImportError, SharrayError) as error:
        # No descriptor, no memory, or the process has changed its user and cannot
        # import.
        if outgoing is not None:
            outgoing.recall()
        _warn_once(error)
        return None
    except BaseException:
        if outgoing is not None:
            outgoing.recall()
        raise


def named(
    outgoing: Outgoing | Relay,
    token: int,
    places: list[Place],
    pickled: bytes | None,
    options: Options,
) -> Message:
    """Return the message that names a file; see `open_message`."""
    segment = outgoing.segment
    call = _Call(
        open_message,
        segment.path,
        segment.identity,
        outgoing.generation,
        token,
        tuple(places),
        pickled,
        tuple(options),
        processes.family_stamp(),
    )
    return Message(pickle.dumps(call, 5), outgoing)


def without_memory(parts: list[Part], pickled: bytes | None) -> bytes:
    """Return the bytes of a message that goes through the pipe with all its parts.

    The object is not pickled again: its classes may allow that only once.
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
        f"sharray: no shared memory for a message ({error}), so it is pickled through "
        "the pipe, which is slower; drop received arrays that are not needed, read the "
        "messages in queues, or call sharray.install with a larger budget"
    )
    if isinstance(error, NoSpaceError):
        text += ", or enlarge the RAM disk (mount -o remount,size=... /dev/shm)"
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=4)
    except RuntimeWarning:
        # The program turns warnings into errors. In the thread of a queue, an error
        # would lose the message.
        print(text, file=sys.stderr)
