"""The error that ends a command, and how errors are told."""

from __future__ import annotations


class ProblemError(Exception):
    """What keeps a command from its work, in a sentence for who called it."""


def one_line(error: Exception | str) -> str:
    """An error as standard error shows it."""
    line = " ".join(str(error).split())
    # Names of files may be made to confuse terminals.
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    return f"sharray: {shown}"
