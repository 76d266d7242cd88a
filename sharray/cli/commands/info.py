"""``sharray info``: all facts about one array."""

from __future__ import annotations

import os
from typing import Annotated

import typer

import sharray as sh

from ...arrays import display
from ...notebook.text import printable
from ...storage.inspection import result
from .. import describing
from ..completion import complete_name
from ..output import NOTHING, Column, Json, console, print_json, print_table
from ..output import print_text as say
from ..output import size as short_size
from ..problem import ProblemError

EXAMPLES = """
Examples:
  sharray info field.npy
  sudo sharray info --page 3 field.npy    also the physical frame of a page
"""

_BAR = 30
_MAPPINGS = (
    Column("PID", number=True),
    Column("ADDRESS", number=True),
    Column("SIZE", number=True),
    Column("FROM BYTE", number=True),
    Column("ACCESS"),
    Column("PROCESS", least=10, cut=True),
)
_PAGE = (
    Column("PID", number=True),
    Column("VIRTUAL ADDRESS", number=True),
    Column("PHYSICAL FRAME", number=True),
)


def info(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A .npy file, or a name that `sharray ls` prints.",
            autocompletion=complete_name,
        ),
    ],
    page: Annotated[
        int,
        typer.Option(min=0, help="Show the addresses of this page (4096 bytes)."),
    ] = 0,
    json: Json = False,
) -> None:
    """Show all facts about one array.

    These are its header, its sharing, its size in memory, and its addresses in the
    processes that hold it. The command does not read the data.
    """
    found = sh.inspect(describing.locate(file))
    views = _look_at(found, page)
    if json:
        print_json(
            describing.document(found)
            | {"page": page, "views": [view._asdict() for view in views]}
        )
        return
    say(printable(found.name), *_header(found), *_sharing(found), *_memory(found))
    _print_holders(found)
    if found.nbytes and found.holders:
        _print_page(page, views)


def _look_at(found: sh.Inspection, page: int) -> list[sh.PageView]:
    if page == 0 and found.nbytes == 0:
        return []
    try:
        return found.page(page)
    except IndexError as error:
        raise ProblemError(str(error)) from None


def _section(title: str, facts: dict[str, str]) -> list[str]:
    lines = [f"  {name:<11}{printable(text)}" for name, text in facts.items()]
    return ["", title, *lines]


def _size(nbytes: int) -> str:
    """Return a size in binary units, and from 1 KiB on also in bytes."""
    return short_size(nbytes) + (f" ({nbytes:,} bytes)" if nbytes >= 1024 else "")


def _header(found: sh.Inspection) -> list[str]:
    facts = {
        "dtype": str(found.dtype),
        "shape": f"{describing.shape(found)}, {found.order} order",
        "data": f"{_size(found.nbytes)} starting at byte {found.data_offset}",
        "file": f"{_size(found.file_size)}, {_where(found)}",
    }
    if found.growable:
        facts["can grow"] = display.growth(found)
    if found.path not in (None, found.name):
        facts["path"] = str(found.path)
    if found.modified is not None:
        facts["modified"] = f"{found.modified.astimezone():%Y-%m-%d %H:%M:%S}"
    return _section("Header", facts)


def _where(found: sh.Inspection) -> str:
    return "on a disk" if found.durable else "in RAM"


def _sharing(found: sh.Inspection) -> list[str]:
    facts = {
        "created": NOTHING
        if found.created is None
        else f"{found.created.astimezone():%Y-%m-%d %H:%M:%S}",
        "kind": "anonymous: goes away with its last holder"
        if found.anonymous
        else "named: stays until you remove it",
        "fault": found.fault or "none",
    }
    if found.uuid is not None:
        facts |= {"uuid": found.uuid, "state": found.state}
    if found.anonymous:
        facts["in transit"] = f"handles: {found.in_transit}"
        facts["generation"] = str(found.generation)
    if found.owner is not None:
        facts["owner"] = f"process {found.owner}, for its messages"
    return _section("Sharing", facts)


def _memory(found: sh.Inspection) -> list[str]:
    facts = {
        "resident": "unknown: this user may not see it"
        if found.resident is None
        else _part(found.resident, found.file_size)
    }
    if found.allocated is not None:
        facts["allocated"] = _part(found.allocated, found.file_size)
    if found.durable:
        facts["dirty"] = (
            "unknown"
            if found.dirty is None
            else f"{_part(found.dirty, found.file_size)} not on the disk yet"
        )
    return _section("Memory", facts)


def _part(nbytes: int, whole: int) -> str:
    """Return a size beside the file's size; a terminal also gets a bar."""
    text = f"{short_size(nbytes)} of {short_size(whole)}"
    if not console().is_terminal or whole == 0:
        return text
    full = round(min(1, nbytes / whole) * _BAR)
    return f"[{'#' * full:.<{_BAR}}] {text}"


def _print_holders(found: sh.Inspection) -> None:
    say("", "Held by")
    if not found.holders:
        say(f"  {result.holders(found)}")
        return
    print_table(
        _MAPPINGS,
        [
            (
                str(holder.pid),
                f"{mapping.address:#x}",
                short_size(mapping.nbytes),
                str(mapping.offset),
                mapping.permissions,
                holder.name,
            )
            for holder in found.holders
            for mapping in holder.mappings
        ],
    )


def _print_page(page: int, views: list[sh.PageView]) -> None:
    say("", f"Page {page} of the data")
    print_table(
        _PAGE,
        [
            (
                str(view.pid),
                f"{view.address:#x}",
                NOTHING if view.frame is None else f"{view.frame:#x}",
            )
            for view in views
        ],
    )
    frames = {view.frame for view in views if view.frame is not None}
    places = sum(view.frame is not None for view in views)
    if os.geteuid() != 0:
        say("Run this as root to see the physical frame, the same in every process.")
    elif len(frames) == 1 and places > 1:
        say(f"One physical page at {places} virtual addresses.")
    elif places < len(views):
        say("A process without a frame has not touched this page yet.")
