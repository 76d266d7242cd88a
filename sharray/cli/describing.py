"""Descriptions of an array, as text and as JSON."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from numpy.lib.format import dtype_to_descr

import sharray as sh

from ..arrays import catalog
from ..notebook.text import cut
from ..storage import location
from ..storage.inspection import result
from .output import NOTHING
from .problem import ProblemError

_WHOLE_NAME = re.compile(r"[0-9a-f]{32}\.npy")
_LONGEST_DTYPE = 24
_MOST_HOLDERS = 3


def locate(name: str) -> str:
    """Return the name or path by which the library finds an array.

    `name` may be a name that `ls` prints for an anonymous array. In a terminal, `ls`
    shortens such names.
    """
    if not result.is_anonymous_name(name):
        return name
    directory = location.anonymous_directory()
    wanted = name.removeprefix(result.ANONYMOUS_NAMES)
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


def document(found: sh.Inspection) -> dict[str, Any]:
    """Return all facts about an array, for JSON."""
    return found._asdict() | {
        "dtype": str(found.dtype),
        "descr": dtype_to_descr(found.dtype),
        "created": _iso(found.created),
        "modified": _iso(found.modified),
        "holders": [
            holder._asdict()
            | {
                "mappings": [mapping._asdict() for mapping in holder.mappings],
                "process": holder.name,
            }
            for holder in found.holders
        ],
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def dtype(found: sh.Inspection, *, short: bool) -> str:
    """Return the dtype as text, cut if `short`: a dtype with fields can be long."""
    return cut(str(found.dtype), _LONGEST_DTYPE) if short else str(found.dtype)


def shape(found: sh.Inspection) -> str:
    """Return the shape as text, such as ``500 x 1000``."""
    return " x ".join(map(str, found.shape)) or "()"


def holders(found: sh.Inspection, *, short: bool) -> str:
    """Return the names of the holders of an array; of some if `short`."""
    if not found.holders and found.in_use is False:
        return NOTHING
    return result.holders(found, _MOST_HOLDERS if short else len(found.holders))


def note(found: sh.Inspection) -> str:
    """Return anything unusual about an array; usually there is nothing."""
    return ", ".join(result.notes(found)) or NOTHING
