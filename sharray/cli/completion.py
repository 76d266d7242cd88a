"""Completion of array names in a shell.

bash takes a colon for the end of a word: of ``shm://a`` it makes three, and completes
the last. `rejoin_words` puts them together before typer sees them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import MutableMapping

import sharray as sh

_WORDS, _CURRENT = "COMP_WORDS", "COMP_CWORD"
_BEFORE = "_SHARRAY_BEFORE_WORD"


def rejoin_words(environment: MutableMapping[str, str]) -> None:
    """Undo what bash does at colons, but for the word that is to be completed.

    What stood before that is kept for `complete_name`.
    """
    if _WORDS not in environment or not environment.get(_CURRENT, "").isdecimal():
        return
    words = environment[_WORDS].split("\n")[: int(environment[_CURRENT]) + 1]
    joined: list[str] = []
    for word in words:
        if joined and (word == ":" or joined[-1].endswith(":")):
            joined[-1] += word
        else:
            joined.append(word)
    before, colon, last = joined[-1].rpartition(":")
    environment[_BEFORE] = before + colon
    environment[_WORDS] = "\n".join([*joined[:-1], last])
    environment[_CURRENT] = str(len(joined) - 1)


def complete_name(incomplete: str) -> list[str]:
    """Names in RAM and ``.npy`` files that begin so."""
    before = os.environ.get(_BEFORE, "")
    wanted = before + incomplete
    names = [found.name for found in _in_ram() if found.name.startswith(wanted)]
    if not before:
        names += sorted(glob.glob(glob.escape(wanted) + "*.npy"))
    return [name.removeprefix(before) for name in names if name.isprintable()]


def _in_ram() -> list[sh.Inspection]:
    try:
        return sh.list()
    except (sh.SharrayError, OSError):
        return []  # a shell that completes can do nothing about it
