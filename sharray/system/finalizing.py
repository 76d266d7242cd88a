"""Functions that run once when an object is freed, even if Ctrl-C arrives just then.

CPython drops exceptions that are raised in a finalizer. `weakref.finalize` runs Python
code: an interrupt at its first instruction would mean that its work is never done. So
an object gets two weak references. The callback of the later one runs first. It is C
code, and appends the function to a queue. The callback of the earlier one runs the
functions in the queue. An interrupt there leaves them for the next call of
`act_for_the_dead`.

::

              at_death              object freed            act_for_the_dead
      (none) ----------> _watched ----------------> _dead ------------------> done
                                    C callback                signals deferred

Invariant: each function is in `_watched`, also in `_dead`, or running with signals
deferred. A forked child inherits both containers and the mappings, so each of the two
processes runs the functions that are left in the queue, on its own mappings.
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
    """The reference whose callback is C code, with the function to run."""

    # Each object that garbage collection looks at costs time if there are many arrays:
    # so the argument is here, and not in a partial function.
    __slots__ = ("act", "argument", "others_callback")

    act: Callable[..., None]
    argument: Any
    others_callback: weakref.ref[Any]


# References must outlive their object. The keys are ids, since a reference hashes like
# its object.
_watched: dict[int, _Death] = {}
_dead: deque[_Death] = deque()
_note = _dead.append


def at_death(mortal: Any, act: Callable[..., None], argument: Any = None) -> None:
    """Run a function once when an object is freed; call this with signals deferred.

    Parameters
    ----------
    mortal : object
        An object that supports weak references and is in no reference cycle.
    act : callable
        The function. It must not refer to `mortal`, which would never be freed.
    argument : object, optional
        Its only argument; by default it has none.
    """
    others_callback = weakref.ref(mortal, act_for_the_dead)
    # CPython calls the callback of the newest reference first. In the other order,
    # `act_for_the_dead` would find an empty queue.
    death = _Death(mortal, _note)
    death.act, death.argument = act, argument
    death.others_callback = others_callback
    _watched[id(death)] = death


def act_for_the_dead(_: object = None) -> None:
    """Run all functions in the queue, also those that an interrupt left there."""
    if not _dead or sys.is_finalizing():
        return
    try:
        with interrupts.deferred():
            _act_for_all()
    except KeyboardInterrupt:
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            raise
        # CPython drops the exceptions of finalizers, so raise it again in the program.
        # `map` and unpacking make the call: after a plain call, it would arrive here.
        (_,) = map(_thread.interrupt_main, (signal.SIGINT,))


def _act_for_all() -> None:
    while _dead:
        try:
            death = _dead.popleft()
        except IndexError:  # another thread was faster
            return
        _watched.pop(id(death), None)
        if death.argument is None:
            death.act()
        else:
            death.act(death.argument)
