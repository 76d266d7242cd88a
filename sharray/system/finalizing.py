"""Act when objects are gone, also if Ctrl-C arrives just then.

CPython prints and drops what is raised in a callback of garbage collection. An
interrupt at its first instruction would mean that its work is never done. So each
object has two weak references. The one made last is called first: it is C code, which
nothing interrupts, and notes what is due. The other does what is due. What an
interrupt kept it from is done at the end of the next object, or by `run`.
"""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from . import interrupts

T = TypeVar("T")


class _Note(weakref.ref[Any]):
    """A weak reference that knows what is due, and the other one."""

    __slots__ = ("item", "second")

    item: Any
    second: Any


class Finalizer(Generic[T]):
    """Calls a function with an item for each object that is gone.

    Not at the end of the interpreter, like `weakref.finalize` with ``atexit=False``.

    Parameters
    ----------
    act : callable
        Is called with the item, by any thread, and takes no lock that others wait for.
    """

    def __init__(self, act: Callable[[T], None]) -> None:
        self._act = act
        self._watched: dict[int, _Note] = {}  # keeps the references alive
        self._due: deque[_Note] = deque()

    def watch(self, obj: Any, item: T) -> None:
        """Act on an item when an object is gone; call it in `interrupts.deferred`."""
        second = weakref.ref(obj, self.run)
        note = _Note(obj, self._due.append)
        note.item, note.second = item, second
        self._watched[id(note)] = note

    def run(self, _: object = None, *, is_ending: Any = sys.is_finalizing) -> None:
        """Do what is due."""
        if not self._due or is_ending():
            return
        with interrupts.deferred():
            while self._due:
                try:
                    note = self._due.popleft()
                except IndexError:  # another thread was faster
                    return
                self._watched.pop(id(note), None)
                self._act(note.item)
