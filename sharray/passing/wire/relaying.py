"""Relay results: arrays of an argument go back in the file that they came in.

A worker of a pool often returns what it has received, changed in place. Copying that
to another file takes as long as the copy of the argument. But the file may go back
only when nothing in the worker needs it any more, which is after `put`: the loop of the
worker still refers to arguments and result then. So `put` pickles the result, freezes
the memory, and lets the message wait::

     put                        the loop drops        get
     pickle, freeze, wait  -->  its references   -->  arrays gone: relay the file
                                                      else: copy what was frozen

What waits leaves at the next `get`, before it waits for the lock of the queue; before
anything else that this process sends; before a fork; and at the end of the process. So
only results of callers wait that are known to drop their references and to call `get`
next: see `_LOOPS`.

Invariants

- The receiver gets the values of the moment of `put`; see
  `sharray.storage.messages.relay`. No count of references would tell whether somebody
  else has the arrays.
- At most one message waits, that of the last `put`.
- It waits only while its loop runs no code but ``__del__`` and the like. Such code must
  not wait until the parent has the result, and a process that it kills has not sent it.
"""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

from ...arrays.core import SharedArray
from ...storage.messages import inbox, relay
from ...storage.messages.incoming import Incoming, held
from ...storage.messages.relay import Relay
from ...system import forks, interrupts
from ..options import Options
from .delivering import Message, Parcel, Relaying
from .packing import Part, Place, as_array
from .sending import named, write_parts

# Module and name of the function that calls `put`. The loop's next call is `get`.
_LOOPS = frozenset(
    (
        ("multiprocessing.pool", "worker"),
        ("multiprocess.pool", "worker"),
        ("concurrent.futures.process", "_sendback_result"),
        ("loky.process_executor", "_sendback_result"),
        ("joblib.externals.loky.process_executor", "_sendback_result"),
    )
)
# To freeze memory takes as long as to copy so much of it.
_LEAST = 2 << 20
_LONGEST_PICKLE = 64 << 10
_ALIGNMENT = 16  # of new arrays
# The receiver keeps the whole file for its arrays.
_WORST_USE = 4
# A receiver that keeps its results gets more of them in files of the worker. It would
# have to make new files for its messages, which several workers do faster.
_MOST_OUT = 4
_BEFORE_OTHERS = 1000
# Results to copy after one whose arrays did not go. Their function may keep them all.
_PAUSE = 100

# One at most. Two threads may both want to send it: only one can take it out.
_waiting: list[Relayed] = []
_pause = 0
_watched_pid = 0


class Relayed(Parcel):
    """The result of a worker, which may wait until its arrays are gone."""

    __slots__ = ("_options", "_pickled", "_places", "_put", "_queue", "_relay")

    def __init__(self, queue: Any, put: Callable[[Any, Any], None], obj: Any) -> None:
        super().__init__(obj)
        self._queue = queue
        self._put = put
        self._relay: Relay | None = None

    def __reduce__(self) -> Any:
        if self._relay is None:
            return super().__reduce__()
        raise pickle.PicklingError(
            "the pickler of a queue was replaced while a result was on its way; "
            "replace it before the pool starts"
        )

    def in_place(
        self, parts: list[Part], pickled: bytes, options: Options
    ) -> Message | None:
        """Return an empty message, to wait for; None if the parts must be copied."""
        found = _file_of(parts) if len(pickled) <= _LONGEST_PICKLE else None
        if found is None or inbox.count_out() >= _MOST_OUT:
            return None
        incoming, self._places = found
        self._relay = Relay.begin(incoming)
        if self._relay is None:
            return None
        self._pickled, self._options = pickled, options
        self.obj = None  # it refers to the arrays
        return Message(b"", self._relay)

    def send(self, connection: Any, transmit: Callable[[bytes], None]) -> bool:
        """Send the message, unless it has to wait."""
        return self._has_to_wait() or super().send(connection, transmit)

    def _has_to_wait(self) -> bool:
        return self.message is not None and not self.message.data

    def __exit__(self, kind: Any, *details: object) -> None:
        if kind is None and self._has_to_wait():
            _watch_end()
            _waiting.append(self)
        else:
            super().__exit__(kind, *details)

    def send_late(self) -> None:
        """Send the message at last; call this with signals deferred."""
        assert self._relay is not None
        try:
            with self:
                self._complete(self._relay)
                with interrupts.allowed():
                    self._put(self._queue, self)
        finally:
            self._relay.end()

    def _complete(self, file: Relay) -> None:
        """Put the message into the parcel, with the same file or with another."""
        global _pause
        pipe = self._queue._writer.fileno()
        token = file.send(pipe) if file.is_ready() else None
        if token is not None:
            self.keep(named(file, token, self._places, self._pickled, self._options))
            return
        _pause = _PAUSE
        parts: list[Part] = [
            place if isinstance(place, SharedArray) else file.bytes_at(*place)
            for place in self._places
        ]
        write_parts(parts, self._pickled, self._options, self.keep)


def _file_of(parts: list[Part]) -> tuple[Incoming, list[Place]] | None:
    """Return the file that has all parts, and their places; None if there is none."""
    incoming: Incoming | None = None
    places: list[Place] = []
    for part in parts:
        if isinstance(part, SharedArray):
            places.append(part)
            continue
        array = as_array(part)
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            return None
        address, nbytes = array.__array_interface__["data"][0], array.nbytes
        incoming = incoming or relay.find(address, nbytes)
        if incoming is None:
            return None
        begin = incoming.position_of(address)
        places.append((begin, begin + nbytes))
    if incoming is None or not _fit(places, incoming.segment.header.nbytes):
        return None
    return incoming, places


def _fit(places: list[Place], capacity: int) -> bool:
    """Return whether parts are apart, within a file, and take enough of it."""
    own = sorted(place for place in places if isinstance(place, tuple))
    total = sum(end - begin for begin, end in own)
    edges = [edge for place in own for edge in place]
    # The receiver would see what it writes to one array in the other, if they overlap.
    return (
        total >= max(_LEAST, capacity // _WORST_USE)
        and all(begin % _ALIGNMENT == 0 for begin, _ in own)
        and edges == sorted(edges)
        and 0 <= edges[0] <= edges[-1] <= capacity
    )


def _parcel(queue: Any, put: Any, obj: Any, caller: types.FrameType) -> Parcel:
    """Return the parcel for an object that a worker's loop may send."""
    global _pause
    loop = caller.f_globals.get("__name__"), caller.f_code.co_name
    if not held or _waiting or loop not in _LOOPS:
        return Parcel(obj)
    if _pause:
        _pause -= 1
        return Parcel(obj)
    return Relayed(queue, put, obj)


def _send_waiting() -> None:
    if _waiting:
        with interrupts.deferred():
            try:
                result = _waiting.pop()
            except IndexError:  # another thread was faster
                return
            result.send_late()


def _watch_end() -> None:
    """Have multiprocessing send what waits before anything else at the end.

    Its other finalizers, and children that it joins, may wait for what the parent does
    with the result.
    """
    global _watched_pid
    if _watched_pid == os.getpid():
        return
    for name in ("multiprocessing.util", "multiprocess.util"):
        if name in sys.modules:
            sys.modules[name].Finalize(None, _send_waiting, exitpriority=_BEFORE_OTHERS)
    _watched_pid = os.getpid()


Relaying.parcel = _parcel
Relaying.send_waiting = _send_waiting
# Before the inbox makes its files private.
forks.at_fork(before=_send_waiting)
