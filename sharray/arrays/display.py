"""The repr of an array in a terminal, and its card in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..names import display_name
from ..notebook import html as cards
from ..notebook.text import count, size
from ..storage import location, rows_field

if TYPE_CHECKING:
    from ..storage.inspection.result import Inspection
    from ..storage.segment import Segment

_MOST_HOLDERS = 5
_WORTH_A_BAR = 1 << 16  # bytes; the header takes a large part of smaller files
_EDGE_ROWS = 3  # of elements with fields
_MOST_ROWS = 6
_LONGEST_VALUES = 20_000  # characters
NO_VALUES = (
    "(its values are not shown: to read them behind the end of the file would end this "
    "process; restore the file, and open it again)"
)


class Card(NamedTuple):
    """Facts about an array that are shown with its values.

    Attributes
    ----------
    stale : str or None
        How the array differs from the file of its name; shown first.
    durable : str
        What makes it durable, or why it is not.
    """

    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    home: str
    mode: str | None
    durable: str
    stale: str | None = None


def durable(segment: Segment | None) -> str:
    """Return a phrase for people that says how an array gets to the disk, if it can."""
    if segment is None:
        return "not durable"
    if segment.mode == "c":
        return "not durable: changes stay in this process"
    if not segment.durable:
        return "not durable"
    if segment.mode == "r":
        return "flush() of a process that writes makes it durable"
    return "flush() makes it durable"


def home(segment: Segment) -> str:
    """Return a phrase for people that says where a segment is."""
    # SHARRAY_RAM_DIR may be a directory on a disk, so its path is shown.
    if segment.anonymous:
        place = "RAM" if segment.volatile else location.ram_directory()
        return f"{place}, anonymous"
    named = segment.find_path() is not None  # may update the path
    path = display_name(segment.path) if segment.volatile else segment.path
    if named:
        return path
    tense = "will be" if segment.awaits_name else "was"
    return f"a file without a name ({tense} {path})"


def growth(found: Inspection) -> str:
    """Return a phrase for people about a growable array: how many rows it has."""
    _, rows, _ = rows_field.split(found.shape, found.order == "F")
    return f"{count(rows, 'row')} now, more can be appended"


def line(card: Card) -> str:
    """Return the card as one line."""
    warning = f" STALE, {card.stale}:" if card.stale else ""
    return (
        f"<SharedArray{warning} {card.dtype} {card.shape}, {size(card.nbytes)} in "
        f"{card.home}, mode {card.mode}, {card.durable}>"
    )


def values(array: np.ndarray[Any, Any]) -> str:
    """Return the values of an array as text: of one with fields, few elements."""
    if array.dtype.names is None:
        return repr(array)
    edges = _EDGE_ROWS if array.ndim == 1 else 1
    most = min(np.get_printoptions()["threshold"], _MOST_ROWS)
    return np.array2string(array, threshold=most, edgeitems=edges)


def html(card: Card, values: str, found: Inspection | None) -> str:
    """Return the card and the values as HTML that takes its colours from the page.

    Parameters
    ----------
    card : Card
        Facts about the array.
    values : str
        Values of the array as plain text.
    found : Inspection, optional
        Inspection of the file. Without it, the card leaves out holders and memory.
    """
    from html import escape  # 2 ms that only notebooks need

    rows = [(name, escape(value)) for name, value in _facts(card, found)]
    if card.stale is not None:
        rows.insert(0, ("problem", f"<strong>{escape(card.stale)}</strong>"))
    if found is not None:
        if found.growable:
            rows.append(("can grow", growth(found)))
        rows.append(("held by", "<br>".join(map(escape, _holders(found)))))
        rows += _memory(found)
    if len(values) > _LONGEST_VALUES:
        values = values[:_LONGEST_VALUES] + "…"
    title = "SharedArray" if card.mode is not None else "SharedArray, a private copy"
    return cards.card(title, rows, escape(values))


def _facts(card: Card, found: Inspection | None) -> list[tuple[str, str]]:
    rows = [
        ("dtype", card.dtype),
        ("shape", str(card.shape)),
        ("size", size(card.nbytes)),
        ("lives in", card.home),
    ]
    if card.mode is not None:
        rows.append(("mode", card.mode))
    told = card.durable.replace("not durable", "no")
    if found is not None and found.dirty is not None and told.startswith("flush()"):
        told += f"; {size(found.dirty)} not on the disk yet"
    rows.append(("durable", told))
    return rows


def _holders(found: Inspection) -> list[str]:
    """Return a line for each process or group of workers, this one first."""
    from ..system import process_names  # only notebooks need it

    lines = process_names.phrases(holder.process for holder in found.holders)
    more = len(lines) - _MOST_HOLDERS
    return lines[:_MOST_HOLDERS] + [f"and {more} more"] * (more > 0)


def _memory(found: Inspection) -> list[tuple[str, str]]:
    rows = []
    if found.resident is not None and found.nbytes >= _WORTH_A_BAR:
        part = found.resident / found.file_size
        # The file has more than the data, at most some pages.
        told = f"{size(round(part * found.nbytes))} of {size(found.nbytes)}"
        rows.append(("in memory", f"{cards.bar(part)}{told}"))
    if found.fault is not None:
        rows.append(("fault", f"a flush has failed: {found.fault}"))
    return rows
