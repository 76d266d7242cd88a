"""Open messages: the functions that unpickling a message calls.

::

                       +- small, or too many held: copy, FREE -+
    check -> join -----+                                       +--> load the rest
                       +- otherwise: lock, HELD, guard --------+
      |                                                        |
      +------------------- signals deferred -------------------+

Signals are deferred until the data is copied, or the guard exists. An interrupt between
HELD and the guard would leave the file HELD, since nothing would free it with the
arrays. The states are in `sharray.storage.message_states`.
"""

from __future__ import annotations

import io
import pickle
import sys
from contextlib import suppress
from typing import Any

import numpy as np

from ...arrays.core import SharedArray
from ...errors import HandleError, MessageError
from ...storage.identity import IDENTITY_SIZE
from ...storage.messages import inbox
from ...storage.messages.incoming import Incoming
from ...storage.messages.taking import Places
from ...system import interrupts
from ..joining import Joining
from ..options import Options, State
from .packing import Place
from .rebuilding import load

# Copying less takes no longer than holding the file, and lets the sender use it again
# at once.
_WORTH_KEEPING = 256 << 10
_LONGEST_PATH = 4096  # limits.h, PATH_MAX


class Received(np.ndarray[Any, Any]):
    """The memory of a message, which no other message uses as long as this exists."""

    _guard: np.ndarray[Any, Any]


def open_message(
    path: str,
    identity: bytes,
    generation: int,
    token: int,
    places: tuple[Place, ...],
    pickled: bytes | None,
    options: tuple[int, int | None],
    family: int,
) -> Any:
    """Return the object of a message.

    Parameters
    ----------
    path, identity, generation, token
        See `sharray.storage.messages.inbox.receive`.
    places : tuple of (int, int) or SharedArray
        Begin and end of each part in the file; the array itself for a shared one.
    pickled : bytes or None
        The rest of the message; None if it is the last part.
    options : (int, int or None)
        `Options` of the sender.
    family : int
        See `sharray.system.processes.family_stamp`.

    Raises
    ------
    HandleError
        It is not a message of this library.
    MessageError
        Its memory is gone or too short, or it was opened before.
    """
    with interrupts.deferred():
        # First: arguments that are no message must neither install nor take anything.
        _check(path, identity, generation, token, places)
        _answer_alike(options, family)
        own = _in_file(places)
        source = path, identity, generation, token, own
        nbytes = sum(end - begin for begin, end in own)
        incoming = None if nbytes < _WORTH_KEEPING else inbox.receive(*source)
        if incoming is None:
            found: list[Any] = inbox.receive_copy(*source, interruptible=True)
        else:
            found = _hold(incoming, own)
    parts = _in_order(places, found)
    whole = pickled if pickled is not None else parts.pop()
    try:
        return load(whole, parts)
    except EOFError as error:
        # multiprocessing.Pool would take EOFError for the end of its pipe, and wait.
        text = f"a message ends too early ({error}); send it again"
        raise MessageError(text, path) from error


def _in_file(places: tuple[Place, ...]) -> list[tuple[int, int]]:
    return [place for place in places if isinstance(place, tuple)]


def _in_order(places: tuple[Place, ...], found: list[Any]) -> list[Any]:
    """Return all parts: those in the file, and shared arrays between them."""
    own = iter(found)
    return [next(own) if isinstance(place, tuple) else place for place in places]


def take_values(data: Any) -> tuple[bytes | None, list[Any]]:
    """Return copies of the pickle and the parts of a message; unpickle no object.

    Parameters
    ----------
    data : bytes
        A message: see `sharray.passing.wire.light.is_message`.

    Returns
    -------
    pickled : bytes or None
        None if it is the last part.
    parts : list of bytearray or SharedArray
        All parts.

    Raises
    ------
    HandleError, MessageError
        See `open_message`.
    """
    path, identity, generation, token, places, pickled, *_ = _Unopened(
        io.BytesIO(data)
    ).load()
    _check(path, identity, generation, token, places)
    # Not interruptible: the program keeps the bytes, and may send them on once more.
    found = inbox.receive_copy(
        path, identity, generation, token, _in_file(places), interruptible=False
    )
    return pickled, _in_order(places, list(found))


class _Unopened(pickle.Unpickler):
    """Returns the arguments of `open_message` instead of opening a message."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        return _arguments if found is open_message else found


def _arguments(*arguments: Any) -> Any:
    return arguments


def _check(path: Any, identity: Any, generation: Any, token: Any, places: Any) -> None:
    """Refuse arguments that no message has, before anything is taken."""
    # Do not print the value: it may be any object, of any size.
    if type(path) is not str or not path.startswith("/") or len(path) > _LONGEST_PATH:
        problem = "an absolute path"
    elif type(identity) is not bytes or len(identity) != IDENTITY_SIZE:
        problem = f"an identity of {IDENTITY_SIZE} bytes"
    elif type(generation) is not int or type(token) is not int:
        problem = "integers as generation and token"
    elif type(places) is not tuple or not all(map(_is_place, places)):
        problem = "the begin and end of each part"
    else:
        return
    raise HandleError(f"not a message of this library: expected {problem}")


def _is_place(place: Any) -> bool:
    if type(place) is not tuple:
        return isinstance(place, SharedArray)
    return (
        len(place) == 2
        and type(place[0]) is type(place[1]) is int
        and 0 <= place[0] <= place[1] <= sys.maxsize
    )


def _hold(incoming: Incoming, places: Places) -> list[memoryview]:
    """Return the parts in place; the file is free when nothing uses them any more."""
    segment = incoming.segment
    first, end = segment.data_range
    memory: Any = np.ndarray.__new__(
        Received, (end - first,), np.uint8, segment.mapping, first
    )
    # Watch a guard instead of the memory itself: see `sharray.arrays.root.root_of`.
    memory._guard = np.empty(0, np.uint8)
    incoming.free_with(memory._guard)
    view = memoryview(memory)
    return [view[begin:end] for begin, end in places]


def open_inline(pickled: bytes, parts: list[Any]) -> Any:
    """Return the object of a message for which there was no shared memory."""
    return load(pickled, parts)


def _answer_alike(options: tuple[int, int | None], family: int) -> None:
    """Make an unconfigured worker reply the way it was contacted."""
    if not State.decided:
        # This may import an executor's modules. A process that has changed its user may
        # fail to import them, and still pickles then.
        with suppress(ImportError, OSError):
            Joining.join(Options(*options), family)
