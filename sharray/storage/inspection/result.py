"""`Inspection`: facts about a file, and how people see them.

`sharray.storage.inspection.inspector` finds them out. A terminal shows lines, and a
notebook shows cards and tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from ...names import ANONYMOUS, SCHEME
from ...notebook import html
from ...notebook.text import count, printable, size
from ...system import pages, process_names
from ...system.memory import PAGE_SIZE
from ..dtypes import short
from .holder import Holder, PageView

ANONYMOUS_NAMES = f"{SCHEME}{ANONYMOUS}/"
_LENGTH_OF_SHORT_NAMES = 8
_MOST_HOLDERS = 3
_MOST_HOLDERS_OF_ONE = 10
_MOST_ARRAYS = 100
_HEADER = ("name", "dtype", "shape", "size", "in memory", "held by", "note")
_LONG = ("name", "dtype", "held by", "note")


class Inspection(NamedTuple):
    """What `sharray.inspect` and `sharray.list` tell of an array's file.

    Its repr has the main facts, `_asdict` has all, and a notebook shows a card.

    Attributes
    ----------
    name : str
        As it is opened: a path, or ``shm://...``.
    path : str or None
        The file; None if it has no name: an anonymous array that was never sent to
        another process, or a file that was removed.
    stale : str or None
        How an array of this process differs from the file of its name, such as "its
        file was replaced by another". None if it does not, and for files inspected by
        name.
    dtype : numpy.dtype
    shape : tuple of int
    order : {'C', 'F'}
        Of the elements in the file.
    growable : bool
        Whether rows can be appended. Then `shape` has those that are complete now.
    nbytes : int
        Size of the data.
    file_size : int
        Of all the file.
    data_offset : int
        Where the data begins in the file.
    durable : bool
        Whether the file is on a disk, under a name.
    anonymous : bool
        Whether it ends with its last holder.
    created : datetime or None
        None if the file system does not know it.
    modified : datetime or None
        What the file system says; None if the file has no name, or a time that no
        calendar has.
    uuid : str or None
        Of an array in RAM; None for a file on a disk.
    generation : int
        How often the file was used again.
    state : str
        ``clean`` or ``updating``; of one that carries messages also ``in flight``,
        ``held``, ``retired``.
    owner : int or None
        Number of the process that carries messages in it.
    in_transit : int
        How many handles are on their way to another process.
    fault : str or None
        Why a flush has failed.
    allocated : int or None
        How much room the file takes, on its disk or in RAM, bytes: less than its size
        if it has holes. None if it has no name.
    resident : int or None
        How much of the file is in memory, bytes; None if this user may not know, or
        the system does not tell. Room
        in RAM that was never touched is taken, but not counted here.
    dirty : int or None
        How much is not on the disk yet, bytes; None for arrays in RAM, and where the
        system (before Linux 5.14) does not tell.
    in_use : bool or None
        Whether any process has it mapped; None where nobody can tell, since the file
        system has no locks. Take None for True before you remove anything.
    holders : tuple of Holder
        Those of them that this user may see.
    """

    name: str
    path: str | None
    stale: str | None
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str
    growable: bool
    nbytes: int
    file_size: int
    data_offset: int
    durable: bool
    anonymous: bool
    created: datetime | None
    modified: datetime | None
    uuid: str | None
    generation: int
    state: str
    owner: int | None
    in_transit: int
    fault: str | None
    allocated: int | None
    resident: int | None
    dirty: int | None
    in_use: bool | None
    holders: tuple[Holder, ...] = ()

    def __repr__(self) -> str:
        return f"<Inspection {line(self)}; _asdict() has all facts>"

    def _repr_html_(self) -> str:
        return card(self)

    def page(self, index: int = 0) -> list[PageView]:
        """Return where a page of the data is in each process that has it mapped.

        Parameters
        ----------
        index : int, default 0
            Number of the page, of 4096 bytes. Page 0 has the first element. In a file
            on a disk, it begins with the header.

        Returns
        -------
        list of PageView
            The virtual address of the page in each process, and, for root only, the
            number of the physical page, which is the same for all.

        Raises
        ------
        IndexError
            The data has no such page.

        Examples
        --------
        >>> import os
        >>> import sharray as sh
        >>> a = sh.ones(1000)
        >>> [view] = sh.inspect(a).page(1)
        >>> view.pid == os.getpid(), view.address == a.ctypes.data + 4096
        (True, True)
        """
        first = self.data_offset // PAGE_SIZE
        end = self.data_offset + self.nbytes
        count = -(-end // PAGE_SIZE) - first if self.nbytes else 0
        if not 0 <= index < count:
            raise IndexError(f"expected a page from 0 to {count - 1}, got {index}")
        position = (first + index) * PAGE_SIZE
        return [
            PageView(one.pid, address, pages.frame(one.pid, address))
            for holder in self.holders
            for one in holder.mappings
            if one.offset <= position < one.offset + one.nbytes
            for address in [one.address + position - one.offset]
        ]


class Inspections(list[Inspection]):
    """A list of inspections that is shown as a table, a line for each array."""

    def __repr__(self) -> str:
        return lines(self)

    def _repr_html_(self) -> str | None:
        return table(self) if self else None


# -- for people --------------------------------------------------------------


def is_anonymous_name(name: str) -> bool:
    """Return whether a name belongs to an anonymous array."""
    return name.startswith(ANONYMOUS_NAMES)


def short_name(found: Inspection) -> str:
    """Return the name, cut for an anonymous array to a few telling characters."""
    end = len(ANONYMOUS_NAMES) + _LENGTH_OF_SHORT_NAMES
    return found.name[:end] if is_anonymous_name(found.name) else found.name


def line(found: Inspection) -> str:
    """Return the main facts about an array on one line, trouble first."""
    facts = [
        *troubles(found),
        f"{_dtype(found)} {found.shape}",
        size(found.nbytes),
        f"held by {holders(found)}",
    ]
    return f"{printable(short_name(found))}: {', '.join(facts)}"


def lines(found: Sequence[Inspection]) -> str:
    """Return a line for each array, as a list."""
    shown = [f"<{line(one)}>" for one in found[:_MOST_ARRAYS]]
    return "[" + ",\n ".join([*shown, *_left_out(found)]) + "]"


def table(found: Sequence[Inspection]) -> str:
    """Return a table of arrays as HTML."""
    rows: list[tuple[str, ...]] = [
        (
            html.text(short_name(one)),
            html.text(_dtype(one)),
            html.text(str(one.shape)),
            size(one.nbytes),
            _resident(one),
            html.text(holders(one)),
            html.lines(notes(one)),
        )
        for one in found[:_MOST_ARRAYS]
    ]
    rows += [(html.text(text), *[""] * 6) for text in _left_out(found)]
    shown = len(_HEADER) if any(row[-1] for row in rows) else len(_HEADER) - 1
    title = count(len(found), "array")
    shown_rows = [row[:shown] for row in rows]
    return html.table(title, _HEADER[:shown], shown_rows, long=_LONG)


def _left_out(found: Sequence[Inspection]) -> list[str]:
    more = len(found) - _MOST_ARRAYS
    return [f"... and {more} more"] if more > 0 else []


def card(found: Inspection) -> str:
    """Return the facts about an array as HTML, trouble first."""
    rows = [("problem", html.text(text)) for text in troubles(found)]
    rows += [(name, html.text(text)) for name, text in _identity(found)]
    rows.append(("held by", _holders_of_one(found)))
    if found.resident is not None:
        rows.append(("in memory", f"{_resident(found)} of {size(found.file_size)}"))
    if found.dirty is not None:
        rows.append(("not on the disk yet", size(found.dirty)))
    return html.card(html.text(found.name), rows)


def _identity(found: Inspection) -> Iterable[tuple[str, str]]:
    yield "dtype", short(found.dtype)
    yield "shape", f"{found.shape}, {found.order} order"
    yield "size", size(found.nbytes)
    if found.path not in (None, found.name):
        yield "path", str(found.path)
    yield "durable", "after flush()" if found.durable else "no"
    for moment in ("created", "modified"):
        since: datetime | None = getattr(found, moment)
        if since is not None:
            yield moment, f"{since.astimezone():%Y-%m-%d %H:%M:%S}"
    # `troubles` has told the others.
    usual = [note for note in notes(found) if note not in troubles(found)]
    if usual:
        yield "note", ", ".join(usual)


def _dtype(found: Inspection) -> str:
    return printable(short(found.dtype))


def _resident(found: Inspection) -> str:
    if found.resident is None:
        return ""
    part = found.resident / found.file_size
    return f"{html.bar(part, width='4em')}{size(found.resident)}"


# -- phrases -----------------------------------------------------------------


def troubles(found: Inspection) -> list[str]:
    """Return the facts that must be told first; usually there are none."""
    texts = []
    if found.stale is not None:
        texts.append(found.stale)
    if found.fault is not None:
        texts.append(f"a flush has failed: {found.fault}")
    return texts


def notes(found: Inspection) -> list[str]:
    """Return anything unusual about an array, trouble first."""
    texts = troubles(found)
    if found.owner is not None:
        texts.append(f"messages of process {found.owner}")
    elif found.anonymous and not is_anonymous_name(found.name):
        texts.append("anonymous")
    if found.growable:
        texts.append("growable")
    if found.state != "clean" and found.owner is None:
        texts.append(found.state)
    return texts


def holders(found: Inspection, most: int = _MOST_HOLDERS) -> str:
    """Return the holders on one line, or why none is known."""
    processes = [holder.process for holder in found.holders]
    return process_names.summary(processes, most) or _nobody(found)


def _holders_of_one(found: Inspection) -> str:
    texts = process_names.phrases(holder.process for holder in found.holders)
    more = len(texts) - _MOST_HOLDERS_OF_ONE
    shown = texts[:_MOST_HOLDERS_OF_ONE] + [f"and {more} more"] * (more > 0)
    return html.lines(shown or [_nobody(found)])


def _nobody(found: Inspection) -> str:
    if found.in_use is None:
        return "unknown: the file system has no locks"
    return "processes of other users" if found.in_use else "no process"
