"""``sharray ls``: a list of arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

import sharray as sh

from ...storage.inspection import result
from .. import describing
from ..completion import complete_name
from ..output import Column, Json, Row, age, console, print_json, print_table, size

EXAMPLES = """
Examples:
  sharray ls                      your arrays in RAM
  sharray ls --sort size /data    the .npy files of a directory
  sharray ls --json | jq -r '.[].name'
"""

_RAM = "shm://"
_COLUMNS = (
    Column("NAME", least=16),
    Column("DTYPE", least=8, cut=True),
    Column("SHAPE", least=11, cut=True),
    Column("SIZE", number=True),
    Column("RESIDENT", number=True),
    Column("DIRTY", number=True),
    Column("AGE", number=True),
    Column("HOLDERS", least=10, cut=True),
    Column("NOTE", least=9, cut=True),
)
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Order(StrEnum):
    """The column by which a list is sorted."""

    NAME = "name"
    SIZE = "size"
    RESIDENT = "resident"
    AGE = "age"


_KEYS: dict[Order, Callable[[sh.Inspection], Any]] = {
    Order.NAME: lambda found: found.name,
    Order.SIZE: lambda found: -found.nbytes,
    Order.RESIDENT: lambda found: -(found.resident or 0),
    Order.AGE: lambda found: _BEGINNING - (born(found) or _BEGINNING),
}


def ls(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PLACE",
            help="A directory, to list its .npy files; shm://, to list your arrays in "
            "RAM; shm://run7, to list those below that name; or one array. "
            "Default: shm://.",
            show_default=False,
            autocompletion=complete_name,
        ),
    ] = None,
    sort: Annotated[
        Order, typer.Option(help="Sort key. The largest, or the newest, come first.")
    ] = Order.NAME,
    json: Json = False,
) -> None:
    """List arrays and the processes that hold them.

    RESIDENT is the part of the file in memory. DIRTY is the part that is not on the
    disk yet. HOLDERS are the processes that map the array.
    """
    found = _find(places or [_RAM])
    found.sort(key=_KEYS[sort])
    if json:
        print_json([describing.document(one) for one in found])
        return
    short = console().is_terminal
    if not found and short:
        where = " or ".join(map(repr, places or [_RAM]))
        console().print(f"There are no arrays in {where}.")
        return
    print_table(*rows(found, short=short))


def born(found: sh.Inspection) -> datetime | None:
    """Return when an array was created, or else when its file was last changed."""
    return found.created or found.modified


def rows(
    found: list[sh.Inspection], *, short: bool
) -> tuple[tuple[Column, ...], list[Row]]:
    """Return the columns and the rows of a table of arrays."""
    return _COLUMNS, [
        (
            result.short_name(one) if short else one.name,
            describing.dtype(one, short=short),
            describing.shape(one),
            size(one.nbytes),
            size(one.resident),
            size(one.dirty),
            age(born(one)),
            describing.holders(one, short=short),
            describing.note(one),
        )
        for one in found
    ]


def _find(places: list[str]) -> list[sh.Inspection]:
    found, single = [], []
    for place in places:
        listed = _list(place)
        if listed is None:
            single.append(place)
        else:
            found += listed
    for one in describing.inspect_all(single):
        if isinstance(one, Exception):
            raise one
        found.append(one)
    return found


def _list(place: str) -> list[sh.Inspection] | None:
    """Return the arrays below a place, or None if the place is one array."""
    if place.startswith(_RAM):
        found = sh.list(place) if not result.is_anonymous_name(place) else []
        return found if found or place == _RAM else None
    return sh.list(place) if os.path.isdir(place) else None
