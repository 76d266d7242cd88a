"""Write messages without NumPy, as long as this process has not imported it.

Such a process has no arrays, and importing NumPy would take it a tenth of a second. So
the other modules of this package are imported with the first message that needs them::

                      NumPy not imported                    NumPy imported
    short pickle      the plain pickle                      import `sending`, write
    large pickle      import `sending`, write the pickle    import `sending`, write

If the import fails, messages are plain pickles. A process that has changed its user, or
has no descriptor left, may be unable to import.

Invariants

- Only one thread imports `sending` at a time, and no other forks meanwhile. The child
  would wait for the locks of these imports without end. So a process imports it before
  it forks.
- Signals are deferred. A signal handler or ``__del__`` that sends a message meanwhile
  sends a plain pickle: it would find half of the module.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...system import forks, interrupts
from ..options import CROSSOVER, Options, State
from .delivering import InPlace, Message

if TYPE_CHECKING:
    from .sending import Collector

# A message begins with its protocol and the length of its frame. Then it names the
# function that opens it.
_BEGIN = slice(11, 60)
_OPENS = b"".join(
    b"\x8c" + bytes([len(name)]) + name + b"\x94"
    for name in (b"sharray.passing.wire.receiving", b"open_message")
)

_sending: Any = None
_is_loading = False
_lock = threading.RLock()


def has_numpy() -> bool:
    """Return whether this process has imported NumPy; if not, it has no arrays."""
    return sys.modules.get("numpy") is not None


def load() -> Any:
    """Import `sending`, with all modules that messages need; return None if it fails.

    Call it before this process loses the ability to import.
    """
    return _sending if _sending is not None else _load()


def _load() -> Any:
    global _sending, _is_loading
    with interrupts.deferred(), _lock:
        if _sending is None and not _is_loading:
            _is_loading = True
            try:
                # Sets what `delivering` calls, for the results after this one.
                import_module(".relaying", __package__)
                _sending = import_module(".sending", __package__)
            except (ImportError, OSError):
                pass  # plain pickles arrive as well
            finally:
                _is_loading = False
    return _sending


def write(
    obj: Any,
    options: Options,
    deliver: Callable[[Message], None],
    *,
    pickle: Callable[[Any], Any],
    collector: Callable[[], Collector],
    to_strangers: bool = False,
    in_place: InPlace | None = None,
) -> Message:
    """Pickle an object; copy its arrays to shared memory if they are large enough.

    Parameters
    ----------
    obj, options, deliver, to_strangers, in_place
        See `sharray.passing.wire.sending.write`.
    pickle : callable
        Return the plain pickle of an object.
    collector : callable
        Return a pickler that sets arrays aside; it needs NumPy.
    """
    tools = _tools(collector) if has_numpy() else None
    if tools is not None:
        sending, collect = tools
        written: Message = sending.write(
            obj,
            options,
            deliver,
            to_strangers=to_strangers,
            collector=collect,
            in_place=in_place,
        )
        return written
    return _write_pickle(bytes(pickle(obj)), options, deliver, to_strangers)


def _tools(collector: Callable[[], Collector]) -> tuple[Any, Collector] | None:
    """Return `sending` and a pickler; None if they cannot be imported."""
    try:
        sending = load()
        return None if sending is None else (sending, collector())
    except (ImportError, OSError):
        return None


def _write_pickle(
    pickled: bytes,
    options: Options,
    deliver: Callable[[Message], None],
    to_strangers: bool,
) -> Message:
    if len(pickled) >= max(options.threshold, CROSSOVER):
        sending = load()
        if sending is not None:
            written: Message = sending.write_parts(
                [], pickled, options, deliver, to_strangers=to_strangers
            )
            return written
    message = Message(pickled)
    deliver(message)
    return message


def is_message(data: Any) -> bool:
    """Return whether bytes are a message whose arrays are in shared memory."""
    if type(data) is bytes:  # as queues send them
        return len(data) > _BEGIN.stop and data.startswith(_OPENS, _BEGIN.start)
    view = memoryview(data)
    if view.nbytes <= _BEGIN.stop:
        return False
    return bytes(view.cast("B")[_BEGIN]).startswith(_OPENS)


def with_values(data: Any) -> Any:
    """Return bytes to send on: see `sharray.passing.wire.forwarding`."""
    if not is_message(data):
        return data
    return import_module(".forwarding", __package__).with_values(data)


def _take_lock() -> None:
    # Children need not import it one by one then. And no other thread is in the middle
    # of these imports, since a message has arrived.
    if State.options is not None:
        load()
    _lock.acquire()


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


def _release_lock() -> None:
    _lock.release()


forks.at_fork(
    before=_take_lock,
    after_in_parent=_release_lock,
    after_in_child=_renew_lock,
)
