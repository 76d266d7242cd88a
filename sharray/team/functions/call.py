"""A function with its arguments, which members call for one chunk after the other."""

from __future__ import annotations

import os
import re
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...kernels.argument_keys import WHOLE
from ...kernels.seeding import seeded
from ...native import parts
from ...notebook import ipython
from .values import Part, Taker

Axis = int | tuple[int, ...]

FORKED = (
    "a function forked its process in a run, and the child came back from it; end the "
    "child inside of the function with os._exit(), or use subprocess"
)
_PACKAGE = str(Path(__file__).parents[2])


class Raised(NamedTuple):
    """The exception of a call, in a form that can be sent to the caller.

    Attributes
    ----------
    error : BaseException
        The exception.
    pid : int
        The worker that raised it; 0 if the caller did.
    trace : TracebackException, optional
        Its traceback there. The caller looks up the lines: a worker does not have the
        cells of a notebook.
    """

    error: BaseException
    pid: int = 0
    trace: traceback.TracebackException | None = None

    def text(self) -> str:
        """Return the traceback in the worker, as text; empty if the caller raised."""
        if self.trace is None:
            return ""
        lines = "".join(self.trace.format()).rstrip()
        return f"in worker process {self.pid}:\n{lines}"


class Call:
    """A function with its arguments.

    Parameters
    ----------
    function : callable
        The function.
    args : sequence
        Its arguments.
    kwargs : mapping
        Its arguments by name.
    axes : sequence
        The axis along which each of `args` is split, or WHOLE; a tuple for a tuple.
    axes_by_name : mapping
        The same for `kwargs`.
    taker : Taker
        What takes the values.
    seed : int, optional
        See `sharray.run`.

    Attributes
    ----------
    member, members : int
        Number of the member that executes it, and of all.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        axes: Sequence[Axis],
        axes_by_name: Mapping[str, Axis],
        taker: Taker,
        seed: int | None = None,
    ) -> None:
        self.function = function
        self.args = tuple(args)
        self.kwargs = dict(kwargs)
        self.axes = tuple(axes)
        self.axes_by_name = dict(axes_by_name)
        self.taker = taker
        self.seed = seed
        self.member, self.members = 0, 1

    def execute(self, begin: int, end: int) -> None:
        """Call the function for some rows, and take its value."""
        pairs = zip(self.args, self.axes, strict=True)
        args = [_cut(value, axis, begin, end) for value, axis in pairs]
        kwargs = {
            name: _cut(value, self.axes_by_name[name], begin, end)
            for name, value in self.kwargs.items()
        }
        # Not a context manager of our own, which would cost 3 us.
        words = parts.words_here()
        before = is_inside(), *words
        try:
            _here.is_inside = True
            words[:] = self.member, self.members, begin
            if self.seed is None:
                value = self.function(*args, **kwargs)
            else:
                with seeded(self.seed, begin):
                    value = self.function(*args, **kwargs)
        finally:
            _here.is_inside, *words[:] = before
        self.taker.take(Part(begin, end, value))


_here = threading.local()


def is_inside() -> bool:
    """Return whether this thread is inside a call."""
    return getattr(_here, "is_inside", False)


def _cut(value: Any, axis: Axis, begin: int, end: int) -> Any:
    if axis == WHOLE:
        return value
    if isinstance(axis, tuple):  # the outputs of a ufunc
        pairs = zip(value, axis, strict=True)
        return tuple(_cut(one, along, begin, end) for one, along in pairs)
    return value[(slice(None),) * axis + (slice(begin, end),)]


def raised(error: BaseException) -> Raised:
    """Return an exception with its traceback, from the user's function on."""
    trace = traceback.TracebackException.from_exception(error, lookup_lines=False)
    stack = trace.stack
    while stack and stack[0].filename.startswith(_PACKAGE):
        del stack[0]
    return Raised(error, os.getpid(), trace)


def with_cells(trace: str) -> str:
    """Return a traceback of a worker with the names of the cells of this notebook."""
    return _FRAME.sub(_in_cell, trace)


_FRAME = re.compile(r'^  File "(.+)", line (\d+), in (.+)$', re.MULTILINE)


def _in_cell(frame: re.Match[str]) -> str:
    filename, line, function = frame.groups()
    cell = ipython.cell_name(filename)
    return frame[0] if cell is None else f"  {cell}, line {line}, in {function}"
