"""Descriptions of an array, as text and as JSON."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from numpy.lib.format import dtype_to_descr

import sharray as sh

from ..array import catalog
from ..storage import location
from .output import NOTHING
from .problem import ProblemError

_ANONYMOUS = f"{location.SCHEME}{location.ANONYMOUS}/"
_WHOLE_NAME = re.compile(r"[0-9a-f]{32}\.npy")
_LONGEST_DTYPE = 24
_LONGEST_COMMAND = 32
_MOST_HOLDERS = 3
_LENGTH_OF_SHORT_NAMES = 8


def locate(name: str) -> str:
    """Return the name or path by which the library finds an array.

    `name` may be a name that `ls` prints for an anonymous array. In a terminal, `ls`
    shortens such names.
    """
    if not is_anonymous_name(name):
        return name
    directory = location.anonymous_directory()
    wanted = name.removeprefix(_ANONYMOUS)
    if _WHOLE_NAME.fullmatch(wanted):
        return os.path.join(directory, wanted)  # a whole name is unique
    try:
        found = [other for other in os.listdir(directory) if other.startswith(wanted)]
    except OSError:
        found = []
    if len(found) != 1:
        number = "none" if not found else f"{len(found)}"
        raise ProblemError(
            f"expected {name!r} to start the name of exactly one array, got {number}; "
            "run 'sharray ls' for the names"
        )
    return os.path.join(directory, found[0])


def inspect_all(names: Iterable[str]) -> list[sh.Inspection | Exception]:
    """Inspect arrays by names that `locate` accepts; return errors, not raise them."""
    paths = [_try_to_locate(name) for name in names]
    found = iter(catalog.inspect_all(one for one in paths if isinstance(one, str)))
    return [next(found) if isinstance(one, str) else one for one in paths]


def _try_to_locate(name: str) -> str | ProblemError:
    try:
        return locate(name)
    except ProblemError as error:
        return error


def short_name(found: sh.Inspection) -> str:
    """Return the name, cut for an anonymous array to a few telling characters."""
    if is_anonymous_name(found.name):
        return found.name[: len(_ANONYMOUS) + _LENGTH_OF_SHORT_NAMES]
    return found.name


def is_anonymous_name(name: str) -> bool:
    """Return whether a name belongs to an anonymous array."""
    return name.startswith(_ANONYMOUS)


def document(found: sh.Inspection) -> dict[str, Any]:
    """Return all facts about an array, for JSON."""
    return found._asdict() | {
        "dtype": str(found.dtype),
        "descr": dtype_to_descr(found.dtype),
        "created": _iso(found.created),
        "modified": _iso(found.modified),
        "holders": [
            holder._asdict()
            | {"mappings": [mapping._asdict() for mapping in holder.mappings]}
            for holder in found.holders
        ],
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def dtype(found: sh.Inspection, *, short: bool) -> str:
    """Return the dtype as text, cut if `short`: a dtype with fields can be long."""
    return _cut(str(found.dtype), _LONGEST_DTYPE) if short else str(found.dtype)


def shape(found: sh.Inspection) -> str:
    """Return the shape as text, such as ``500 x 1000``."""
    return " x ".join(map(str, found.shape)) or "()"


def command(text: str, *, short: bool) -> str:
    """Return a command line, without directories if `short`."""
    if not short:
        return text
    words = (os.path.basename(word) or word for word in text.split(" "))
    return _cut(" ".join(words), _LONGEST_COMMAND)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def holders(found: sh.Inspection, *, short: bool) -> str:
    """Return the process ids and commands of the holders of an array."""
    shown = found.holders[: _MOST_HOLDERS if short else None]
    names = [f"{one.pid} {command(one.command, short=short)}" for one in shown]
    if len(shown) < len(found.holders):
        names.append(f"{len(found.holders) - len(shown)} more")
    if not names:
        return {True: "other users", False: NOTHING, None: "unknown"}[found.in_use]
    return ", ".join(names)


def note(found: sh.Inspection) -> str:
    """Return anything unusual about an array; usually there is nothing."""
    notes = []
    if found.owner is not None:
        notes.append(f"messages of process {found.owner}")
    elif found.anonymous and not is_anonymous_name(found.name):
        notes.append("anonymous")
    if found.growable:
        notes.append("growable")
    if found.state != "clean" and found.owner is None:
        notes.append(found.state)
    if found.fault is not None:
        notes.append(f"fault: {found.fault}")
    return ", ".join(notes) or NOTHING
