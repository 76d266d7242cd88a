"""Text for people, in a terminal or a notebook: sizes, and names that anybody chose."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(nbytes: int) -> str:
    """Format a number of bytes for people.

    Examples
    --------
    >>> size(800), size(5 << 20), size(3 << 40)
    ('800 B', '5.0 MiB', '3.0 TiB')
    """
    number, unit = float(nbytes), 0
    # A number that would round up to 1024.0 gets the next unit.
    while number >= 1023.95 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{nbytes} B"


def count(number: int, thing: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> count(1, "array"), count(2, "array")
    ('1 array', '2 arrays')
    """
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def printable(text: str) -> str:
    r"""Escape characters that move the cursor, colour, reverse or break lines.

    Examples
    --------
    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else repr(char).strip("'") for char in text
    )


def cut(text: str, length: int) -> str:
    """Return at most so many characters of a text, with an ellipsis if it is longer.

    Examples
    --------
    >>> cut("velocity", 8), cut("velocity", 5)
    ('velocity', 'velo…')
    """
    return text if len(text) <= length else text[: length - 1] + "…"
