"""Output of the commands: tables for people, one JSON document for programs.

In a terminal, a table is at most as wide as the terminal. Elsewhere, nothing is cut off
or coloured. Names and commands are untrusted: tables escape any character that is not
printable. JSON has the exact text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..notebook import text as people
from ..notebook.text import printable

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
NOTHING = "-"

_GAP = 2
_AGES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class Column(NamedTuple):
    """A column of a table.

    If the terminal is too narrow, columns with a `least` width shrink to it, the last
    column first. Text that is too long then wraps, or is cut off if `cut` is true.
    """

    title: str
    number: bool = False
    least: int | None = None
    cut: bool = False


Row = Sequence[str]


def console() -> Console:
    """Return a console that prints on standard output."""
    return Console(highlight=False, markup=False, emoji=False)


def size(nbytes: int | None) -> str:
    """Return a size in binary units.

    Examples
    --------
    >>> size(0), size(4096), size(3_800_000), size(None)
    ('0 B', '4.0 KiB', '3.6 MiB', '-')
    """
    if nbytes is None:
        return NOTHING
    return people.size(nbytes)


def age(since: datetime | None) -> str:
    """Return the time since a moment, in the largest unit that fits twice."""
    if since is None:
        return NOTHING
    seconds = max(0, int((datetime.now(UTC) - since).total_seconds()))
    for length, unit in _AGES:
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print a document, in ASCII."""
    print_text(json.dumps(document, indent=indent))


def print_text(*lines: str) -> None:
    """Print lines unchanged; the caller has escaped them."""
    # The flush notices a closed pipe here, not at the end of the process.
    print(*lines, sep="\n", flush=True)


def print_table(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print a table, fitted to the terminal if there is one."""
    screen = console()
    if screen.is_terminal:
        screen.print(table(columns, rows, screen.width))
    else:
        print_text(*_plain(columns, rows))
    sys.stdout.flush()


def table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    """Return a table for a terminal, without its empty columns."""
    kept = [
        index
        for index in range(len(columns))
        if any(row[index] != NOTHING for row in rows) or not rows
    ]
    columns = [columns[index] for index in kept]
    cells = [[printable(row[index]) for index in kept] for row in rows]
    found = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    found.header_style = "bold"
    for column, length in zip(columns, _widths(columns, cells, width), strict=True):
        found.add_column(
            column.title,
            justify="right" if column.number else "left",
            width=length,
            no_wrap=column.cut or column.number,
            overflow="ellipsis" if column.cut or column.number else "fold",
        )
    for row in cells:
        found.add_row(*map(Text, row))
    return found


def _widths(columns: Sequence[Column], cells: list[list[str]], room: int) -> list[int]:
    widths = _natural_widths(columns, cells)
    excess = sum(widths) + _GAP * (len(widths) - 1) - room
    for index in reversed(range(len(columns))):
        least = columns[index].least
        if least is not None and excess > 0:
            given = min(excess, max(0, widths[index] - least))
            widths[index] -= given
            excess -= given
    return widths


def _natural_widths(columns: Sequence[Column], cells: list[list[str]]) -> list[int]:
    titles = [column.title for column in columns]
    return [max(map(cell_len, texts)) for texts in zip(titles, *cells, strict=True)]


def _plain(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = _natural_widths(columns, cells)
    titles = [column.title for column in columns]
    return [
        (" " * _GAP).join(_pad(line, columns, widths)).rstrip()
        for line in [titles, *cells]
    ]


def _pad(line: Row, columns: Sequence[Column], widths: list[int]) -> list[str]:
    padded = []
    for cell, column, width in zip(line, columns, widths, strict=True):
        room = " " * (width - cell_len(cell))
        padded.append(room + cell if column.number else cell + room)
    return padded
