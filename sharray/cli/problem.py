"""The error that ends a command, and the form in which errors are printed."""

from __future__ import annotations


class ProblemError(Exception):
    """A command cannot do its work; the message tells the user why."""


def one_line(error: Exception | str) -> str:
    """Return an error as one line for standard error."""
    line = " ".join(str(error).split())
    # A file name may contain escape sequences for the terminal.
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    return f"sharray: {shown}"
