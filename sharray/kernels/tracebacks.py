"""Tracebacks of kernels: they end in the line of the kernel, without our own frames.

Compiled code has no frames. `ending_at` makes one, as template engines do for lines of
templates: a function of this module that raises, with the file, name and line of the
kernel. Python, IPython, pytest and debuggers then show the source line.
"""

from __future__ import annotations

import dis
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FunctionType, TracebackType
from typing import Any

from .failures import note
from .places import Place, Places, function_at, with_first_line

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NO_COLUMNS, _MOST_UNITS = 0x80 | 13 << 3, 8
_RAISE = dis.opmap["RAISE_VARARGS"]


def ending_at(error: BaseException, place: Place) -> BaseException:
    """Return an exception with a traceback that ends at a place in the source.

    Nothing changes if its class refuses that.
    """

    def raise_it() -> Iterator[None]:
        yield
        raise _StandInError  # a generator would change a StopIteration

    # On CPython 3.11, the frame of a generator that has ended refers to no caller. In
    # later versions it is in a cycle with callers' frames, which have the exception.
    raising = _moved(raise_it, place)()
    next(raising)
    try:
        next(raising)
    except _StandInError as raised:
        # In no variable: this frame would be in a cycle with the exception.
        _set(error, getattr(raised.__traceback__, "tb_next", None))
    return error


class _StandInError(Exception):
    """Raised to get a traceback."""


def _moved(function: Any, place: Place) -> FunctionType:
    """Return a function whose source is at another place."""
    code = function.__code__
    first = place.first or place.line
    there = code.replace(
        co_filename=place.filename,
        co_name=place.function,
        co_qualname=place.function,
        co_firstlineno=first,
        co_linetable=_one_line(len(code.co_code) // 2, place.line - first),
    )
    names = {"__name__": "sharray.kernel", "_StandInError": _StandInError}
    return FunctionType(there, names, closure=function.__closure__)


def _one_line(units: int, offset: int) -> bytes:
    """Return CPython's table of positions for code in one line, without columns.

    Columns would mean nothing in another source. An entry is for up to 8 code units,
    and has the distance to the line of the entry before.
    """
    table = bytearray()
    for begin in range(0, units, _MOST_UNITS):
        table.append(_NO_COLUMNS | min(_MOST_UNITS, units - begin) - 1)
        number = 0 if begin else offset << 1 if offset >= 0 else -offset << 1 | 1
        while number >= 64:
            table.append(64 | number & 63)
            number >>= 6
        table.append(number)
    return bytes(table)


def explained(
    error: BaseException, kernel: str, places: Callable[[], Places]
) -> BaseException:
    """Return an exception of a call of a kernel, with a traceback that is easy to read.

    It has no frames of sharray below the caller, and ends in the line of the kernel, if
    that line raised or cannot be compiled. An unexpected error keeps all its frames.

    Parameters
    ----------
    error : BaseException
        An exception that the caller of this function's caller has caught.
    kernel : str
        Name of the kernel that was called.
    places : callable
        Return the functions that the kernel may call.
    """
    own = error.__traceback__
    below = None if own is None else own.tb_next
    if _is_of_compiler(error):
        return _of_compiler(error, kernel, places())
    if below is not None and not _is_ours(below):
        return _of_compiled(error, below, kernel, places())
    theirs = below
    while theirs is not None and _is_ours(theirs):
        theirs = theirs.tb_next
    if theirs is not None or _is_expected(error):
        _set(error, theirs)
    return error


def _of_compiled(
    error: BaseException, below: TracebackType, kernel: str, places: Places
) -> BaseException:
    """Return an exception that compiled code raised, called by Python.

    numba adds a frame, or Python code in object mode has frames. numba's frame lacks
    the first line of its function, without which IPython shows other lines.
    """
    last = below
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code
    place = Place(code.co_name, code.co_filename, last.tb_lineno)
    if place.is_in_numba:
        return error
    note(error, kernel, place)
    found = with_first_line(place, places)
    if below is last and found.first not in (0, code.co_firstlineno):
        _set(error, None)
        return ending_at(error, found)
    _set(error, below)
    return error


def _is_of_compiler(error: BaseException) -> bool:
    return any(one.__module__ == "numba.core.errors" for one in type(error).__mro__)


def _of_compiler(error: BaseException, kernel: str, places: Places) -> BaseException:
    """Return an error of numba's compiler, ending in the line that it refuses."""
    loc: Any = getattr(error, "loc", None)
    place = None
    if loc is not None:
        place = function_at(str(loc.filename), int(loc.line), places)
    where = "" if place is None else f" ({place})"
    with suppress(Exception):
        error.add_note(
            f"numba cannot compile kernel {kernel!r}{where}; change that line, or pass "
            "arguments of other types"
        )
    _set(error, None)
    return error if place is None else ending_at(error, place)


def _is_expected(error: BaseException) -> bool:
    """Return whether a ``raise`` statement of this package raised, or a signal."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or isinstance(error, KeyboardInterrupt):
        return True
    return last.tb_frame.f_code.co_code[last.tb_lasti] == _RAISE


def _set(error: BaseException, traceback: TracebackType | None) -> None:
    with suppress(Exception):  # its class may refuse
        error.with_traceback(traceback)


def _is_ours(traceback: TracebackType) -> bool:
    return traceback.tb_frame.f_code.co_filename.startswith(_OURS)
