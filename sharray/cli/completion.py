"""Completion of array names in a shell.

bash ends a word at a colon. It splits ``shm://a`` into three words, and completes the
last one. `rejoin_words` joins them again before typer sees them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import MutableMapping

import sharray as sh

_WORDS, _CURRENT = "COMP_WORDS", "COMP_CWORD"
_BEFORE = "_SHARRAY_BEFORE_WORD"


def rejoin_words(environment: MutableMapping[str, str]) -> None:
    """Join the words that bash split at colons, except the word to complete.

    The part in front of that word is kept for `complete_name`.
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
    """Return the names in RAM and the ``.npy`` files that start with a text."""
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
        return []  # completion has no place to show an error
