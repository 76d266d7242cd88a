"""The end of teams that only the history of a notebook still holds.

A cell that makes a team is run again: the variable refers to the new team. The old one
would end at once, but ``Out`` and ``_`` may hold it, or the frames of the last error.
So when there is a newer team, each reference to an older one is counted. If all are
from the history, its workers end::

                    references elsewhere: a variable, a list, a closure, a thread
                  /
    refcount  ---+
                  \
                    history: Out, _, __, ___, _5, the last result,
                    and local variables of frames in the last traceback

A reference that is not found in the history counts as one elsewhere. So the error of
this count is to keep a team, never to end one that is in use.
"""

from __future__ import annotations

import gc
import re
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any

from ..notebook import ipython

_HISTORY = re.compile(r"_{1,3}|_\d+")

_watched: list[tuple[weakref.ref[Any], Callable[[Any], None]]] = []
_shells: weakref.WeakSet[Any] = weakref.WeakSet()
_is_any_new = False


def watch(team: Any, end: Callable[[Any], None]) -> bool:
    """End a team when a newer one is used, and only the history holds this one.

    This is a no-op outside of IPython. Return whether the first use of the team must
    call `end_forgotten`.

    Parameters
    ----------
    team : Team
        The team.
    end : callable
        Function of the team that ends it.
    """
    global _is_any_new
    shell = ipython.shell()
    if shell is None:
        return False
    _watched.append((weakref.ref(team), end))
    _is_any_new = len(_watched) > 1
    if shell not in _shells:
        _shells.add(shell)
        shell.events.register("post_run_cell", _after_cell)
    return _is_any_new


def _after_cell(_: object) -> None:
    if len(_watched) > 1:
        end_forgotten()


def end_forgotten() -> None:
    """End the teams that only the history holds, apart from the newest."""
    global _is_any_new
    if _is_any_new:
        gc.collect()  # IPython's errors before the last one are in reference cycles
    _is_any_new = False
    _watched[:] = [one for one in _watched if one[0]() is not None]
    for reference, end in _watched[:-1]:
        held = [reference()]
        if held[0] is not None and _is_forgotten(held):
            end(held[0])


def _is_forgotten(held: list[Any]) -> bool:
    """Return whether only the history refers to the one object in a list."""
    # First: in old versions of Python, `f_locals` makes references.
    known = sum(map([id(held[0])].count, map(id, _history())))
    alike = [object()]
    return 0 < known == sys.getrefcount(held[0]) - sys.getrefcount(alike[0])


def _history() -> Iterator[Any]:
    """Yield the objects that the history holds, once for each reference."""
    shell = ipython.shell()
    if shell is None:
        return
    yield from shell.user_ns.get("_oh", {}).values()
    for names in shell.user_ns, shell.user_ns_hidden, vars(shell.displayhook):
        yield from [value for name, value in names.items() if _HISTORY.fullmatch(name)]
    result = getattr(shell, "last_execution_result", None)
    yield getattr(result, "result", None)
    errors = [getattr(sys, "last_value", None), getattr(result, "error_in_exec", None)]
    for frame in _frames(errors):
        yield from gc.get_referents(frame)
        if sys.version_info < (3, 13):  # a dictionary that the frame keeps
            yield from frame.f_locals.values()


def _frames(errors: list[BaseException | None]) -> list[FrameType]:
    """Return the frames of functions that have ended with these errors."""
    running = {id(frame) for frame in _with_callers(sys._current_frames().values())}
    ended = [frame for frame in _traced(errors) if id(frame) not in running]
    # A frame of a traceback keeps the frames of its callers, also those that the
    # traceback leaves out.
    found = {id(frame): frame for frame in _with_callers(ended)}
    # A frame that a generator owns may go on. CPython does not tell its references, so
    # they count as references elsewhere.
    return [
        frame
        for key, frame in found.items()
        if key not in running and frame.f_code.co_name != "<module>"
    ]


def _traced(errors: list[BaseException | None]) -> Iterator[FrameType]:
    """Yield the frames in the tracebacks of errors, and of those before them."""
    seen: set[int] = set()
    while errors:
        error = errors.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        errors += [error.__cause__, error.__context__]
        place: TracebackType | None = error.__traceback__
        while place is not None:
            yield place.tb_frame
            place = place.tb_next


def _with_callers(frames: Iterable[FrameType]) -> Iterator[FrameType]:
    for first in frames:
        frame: FrameType | None = first
        while frame is not None:
            yield frame
            frame = frame.f_back
