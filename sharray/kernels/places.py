"""Places in kernels where exceptions are raised, in numba's exceptions and in statuses.

numba's exceptions have a place only if a ``raise`` or ``assert`` statement raised them.
Divisions by zero and wrong indices have none, and for an error in one of numba's own
functions it is in numba's source. So kernels return a status that tells the line, at no
cost while nothing is raised: see `sharray.kernels.numba.locating`.

::

      status   0 1 | function, 12 bits | line, 18 bits

The bits of the function are a hash of its file and name. `Places` is the table of the
functions that a kernel may call.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from ..notebook.ipython import cell_name
from .references import referred_to

_KNOWN = 1 << 30  # set in a status that tells a place
_LINE_BITS = 18
_LINES = 1 << _LINE_BITS
_FUNCTIONS = 1 << 12

# File, name and first line of functions, by their bits in a status.
Places = dict[int, tuple[str, str, int]]


class Place(NamedTuple):
    """The place in the source where an exception was raised.

    Attributes
    ----------
    function, filename : str
        The function that raised it, and its file.
    line : int
        The line.
    first : int
        The first line of the function; 0 if not known.

    Examples
    --------
    >>> str(Place("scale", "waves.py", 12))
    'scale, waves.py:12'
    """

    function: str
    filename: str
    line: int
    first: int = 0

    def __str__(self) -> str:
        cell = cell_name(self.filename)
        if cell is not None:
            return f"{self.function}, {cell}, line {self.line}"
        return f"{self.function}, {self.filename}:{self.line}"

    @property
    def is_in_numba(self) -> bool:
        """Return whether it is in numba's own source."""
        return f"-packages{os.sep}numba{os.sep}" in self.filename


def status_of(code: CodeType, line: int) -> int | None:
    """Return the status that tells a line of a function; None if it has too many."""
    if not 0 < line < _LINES:
        return None
    return _KNOWN | _bits(code) << _LINE_BITS | line


def place_of(status: int, places: Places) -> Place | None:
    """Return the place that a status tells; None if it tells none.

    Examples
    --------
    >>> def half(x):
    ...     return x / 2
    >>> status = status_of(half.__code__, 2)
    >>> place_of(status, places_of(half)).function, place_of(1, places_of(half))
    ('half', None)
    """
    if status < _KNOWN:
        return None
    found = places.get(status >> _LINE_BITS & _FUNCTIONS - 1)
    if found is None:
        return None
    filename, name, first = found
    return Place(name, filename, status & _LINES - 1, first)


def with_first_line(place: Place, places: Places) -> Place:
    """Return a place with the first line of its function, if that is in the table."""
    for filename, name, first in places.values():
        if (filename, name) == (place.filename, place.function) and first <= place.line:
            return place._replace(first=first)
    return place


def function_at(filename: str, line: int, places: Places) -> Place | None:
    """Return a line as the place in the function that it is in, if it is in one."""
    begun = [
        (first, name)
        for file, name, first in places.values()
        if file == filename and first <= line
    ]
    if not begun:
        return None
    first, name = max(begun)
    return Place(name, filename, line, first)


def places_of(function: Callable[..., Any]) -> Places:
    """Return the table of a function, and of the functions that it may call."""
    found: Places = {}
    twice = set()
    for _, value in referred_to(function):
        plain = getattr(value, "py_func", value)
        if isinstance(plain, FunctionType):
            code = plain.__code__
            bits = _bits(code)
            place = code.co_filename, code.co_name, code.co_firstlineno
            if found.setdefault(bits, place) != place:
                twice.add(bits)
    return {bits: place for bits, place in found.items() if bits not in twice}


def _bits(code: CodeType) -> int:
    text = f"{code.co_filename}\0{code.co_name}"
    return zlib.crc32(text.encode(errors="replace")) % _FUNCTIONS
