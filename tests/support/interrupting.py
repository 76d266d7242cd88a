"""Interrupt a call at each point where CPython looks for signals.

CPython 3.11 to 3.14 look for signals when a Python function starts, when a generator
resumes, when a loop jumps back, and when a call of C code has returned. No interrupt
can come between two of these points. So a test that interrupts a call at each point
covers every case.

The interrupts are real. A trace function marks SIGINT as arrived just before an
instruction. CPython finds it at the next point, even inside a library function that
the instruction calls. Only where a function starts or resumes, the trace function calls
the handler itself: since CPython 3.13, it runs after CPython has looked for signals.
"""

from __future__ import annotations

import _thread
import contextlib
import dis
import functools
import os
import random
import signal
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import sharray as sh

_PACKAGE = str(Path(sh.__file__).parent)
# Our files, and standard library files that only call ours.
_FOLLOWED = (_PACKAGE, contextlib.__file__, weakref.__file__)
_LOOKS_AFTER = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD"}


@functools.cache
def _starts_in(code: CodeType) -> frozenset[int]:
    """Return the offsets at which a call starts or resumes and signals are looked for.

    They are not where a generator resumes within ``yield from`` or ``await``.
    """
    return frozenset(
        instruction.offset
        for instruction in dis.get_instructions(code)
        if instruction.opname == "RESUME" and (instruction.arg or 0) & 3 < 2
    )


@functools.cache
def _points_in(code: CodeType) -> frozenset[int]:
    """Return the offsets of instructions after which CPython checks for signals."""
    return frozenset(
        instruction.offset
        for instruction in dis.get_instructions(code)
        if instruction.opname in _LOOKS_AFTER
    )


class _Tracer:
    """Counts points, and interrupts at one of them."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.where = ""
        # `_arrive` is unpacked, not called: a call would interrupt the tracer itself.
        self._arrive = map(_thread.interrupt_main, (signal.SIGINT,))

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(_FOLLOWED):
            return None
        frame.f_trace = self._within  # CPython 3.13 needs this for the next line
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if frame.f_lasti in _starts_in(frame.f_code) and self._is_due(frame):
            handler: Any = signal.getsignal(signal.SIGINT)
            handler(signal.SIGINT, frame)  # what it raises, CPython raises in the frame
        return self._within

    def _within(self, frame: FrameType, event: str, _: object) -> Any:
        is_point = event == "opcode" and frame.f_lasti in _points_in(frame.f_code)
        if is_point and self._is_due(frame):
            (_,) = self._arrive
        return self._within

    def _is_due(self, frame: FrameType) -> bool:
        """Count a point, and tell whether it is the one to interrupt at."""
        self.left -= 1
        if self.left != 0:
            return False
        code = frame.f_code
        self.where = f"{code.co_filename}:{frame.f_lineno}, {code.co_qualname}"
        sys.settrace(None)
        return True


class Interrupted:
    """The result of an interrupted call.

    Attributes
    ----------
    where : str
        File, line and function of the point; empty if the call has fewer.
    raised : bool
        Whether the call raised KeyboardInterrupt. It does not if the interrupt arrived
        in a finalizer: CPython prints that error, and continues.
    error : BaseException or None
        Another error that the call raised.
    value : object
        What the call returned, if it did.
    """

    def __init__(self, call: Callable[[], Any], at: int) -> None:
        self.raised = False
        self.error: BaseException | None = None
        self.value: Any = None
        self.dropped: list[str] = []
        tracer = _Tracer(at)
        before, hook = sys.gettrace(), sys.unraisablehook
        sys.unraisablehook = lambda args: self.dropped.append(repr(args.exc_value))
        try:
            sys.settrace(tracer)
            self.value = call()
        except KeyboardInterrupt:
            self.raised = True
        except BaseException as error:
            self.error = error.with_traceback(None)
            self.error.__context__ = self.error.__cause__ = None
        finally:
            sys.settrace(before)
            sys.unraisablehook = hook
        self.where = tracer.where

    def __repr__(self) -> str:
        out = "KeyboardInterrupt" if self.raised else repr(self.error)
        return f"<interrupted at {self.where}: {out}, dropped {self.dropped}>"


def count_points(call: Callable[[], Any]) -> int:
    """Return how many points a call has."""
    tracer = _Tracer(0)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        call()
    finally:
        sys.settrace(before)
    return -tracer.left


def interrupt_everywhere(
    call: Callable[[], Any],
    check: Callable[[Interrupted], None],
    *,
    step: int = 1,
    first: int = 1,
) -> int:
    """Interrupt a call at each point, and check what is left each time.

    Parameters
    ----------
    call : callable
        Make all it needs, and take the same steps each time.
    check : callable
        Get the `Interrupted`. Raise if something does not work any more, or if
        something is left. This function decides whether to run the call once more, and
        whether to discard what only a first call makes.
    step, first : int
        To visit only some points, where each takes long.

    Returns
    -------
    int
        How many points were visited.
    """
    visited = 0
    for at in range(first, sys.maxsize, step):
        outcome = Interrupted(call, at)
        if not outcome.where:
            if outcome.error is not None:  # such as the end of the time of the test
                raise outcome.error
            break
        visited += 1
        try:
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            if outcome.error is not None:
                raise outcome.error
            check(outcome)
        except BaseException as error:
            error.add_note(f"point {at}: {outcome!r}")
            raise
    assert visited > 0, "the call does nothing in this package"
    return visited


def some_of(firsts: Sequence[int]) -> list[int]:
    """Return one of the points to begin at, another each time; all with ALL_POINTS=1.

    For calls with thousands of points that take a tenth of a second each.
    """
    if os.environ.get("ALL_POINTS"):
        return list(firsts)
    return random.sample(firsts, 1)
