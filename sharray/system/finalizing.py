"""Acts that an object's death brings about, also if Ctrl-C arrives just then.

CPython drops what is raised in a finalizer. Were the finalizer a function written in
Python, as that of `weakref.finalize` is, an interrupt at its first instruction would
mean that its work is never done. So an object gets two weak references. The callback
of the one that was made last runs first, and is C code: it puts the act into a queue.
That of the other one does what is in the queue. If an interrupt arrives there, the acts
stay for the next call of `act_for_the_dead`.

Invariant: an act is in `_watched`, in `_dead`, or being done with signals deferred. A
forked child has both, as it has the mappings: what is left in the queue is done by each
of the two processes, for its own.
"""

from __future__ import annotations

import _thread
import signal
import sys
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from . import interrupts


class _Death(weakref.ref[Any]):
    """The reference whose callback is C code, and what is to be done."""

    __slots__ = ("act", "others_callback")

    act: Callable[[], None]
    others_callback: weakref.ref[Any]


# References must live longer than their object. By `id`: they hash as the object does.
_watched: dict[int, _Death] = {}
_dead: deque[_Death] = deque()
_note = _dead.append


def at_death(mortal: Any, act: Callable[[], None]) -> None:
    """Have something done once when an object is gone; call it with signals deferred.

    Parameters
    ----------
    mortal : object
        With support for weak references, and none in a cycle of garbage.
    act : callable
        Refers to `mortal` in no way.
    """
    others_callback = weakref.ref(mortal, act_for_the_dead)
    death = _Death(mortal, _note)  # last, so that its callback is the first
    death.act, death.others_callback = act, others_callback
    _watched[id(death)] = death


def act_for_the_dead(_: object = None) -> None:
    """Do what an interrupt has kept finalizers from doing, and what is due now."""
    if not _dead or sys.is_finalizing():
        return
    try:
        with interrupts.deferred():
            _act_for_all()
    except KeyboardInterrupt:
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            raise
        # A finalizer's exceptions are dropped: let it arrive once more, in the program.
        # By unpacking, since after a call it would arrive here.
        (_,) = map(_thread.interrupt_main, (signal.SIGINT,))


def _act_for_all() -> None:
    while _dead:
        try:
            death = _dead.popleft()
        except IndexError:  # another thread was faster
            return
        _watched.pop(id(death), None)
        death.act()
