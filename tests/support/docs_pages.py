"""The pages of the documentation, and the code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from repository import ROOT

REPOSITORY = ROOT
DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))

_FENCE = re.compile(r"^```(\S+)(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_CODE = re.compile(r"`([^`]+)`")


class Block(NamedTuple):
    """A block between fences.

    Attributes
    ----------
    language : str
        What follows the opening fence.
    title : str
        The file that it is, or nothing.
    text : str
        The lines between the fences.
    start : int
        Where they begin in the page.
    """

    language: str
    title: str
    text: str
    start: int

    @property
    def is_session(self) -> bool:
        """Return whether it shows an interactive session."""
        return self.language == "python" and self.text.startswith(">>> ")


class Command(NamedTuple):
    """A command in a block of a terminal, and its output there."""

    words: list[str]
    output: str


def blocks(page: str) -> list[Block]:
    """Return all blocks of a page, in order."""
    found = []
    for match in _FENCE.finditer(page):
        title = _TITLE.search(match[2])
        found.append(
            Block(match[1], title[1] if title else "", match[3], match.start(3))
        )
    return found


def session(page: str) -> str:
    """Return a page with nothing but its sessions, in their old lines."""
    kept = [""] * len(page.splitlines())
    for block in blocks(page):
        if block.is_session:
            first = page.count("\n", 0, block.start)
            lines = block.text.splitlines()
            kept[first : first + len(lines)] = lines
    return "\n".join(kept) + "\n"


def commands(page: str) -> list[Command]:
    """Return the commands in the terminals of a page."""
    found = []
    for block in blocks(page):
        if block.language == "console":
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                line, _, output = part.partition("\n")
                words = re.findall(r"'[^']*'|\S+", line.split(" #")[0])
                found.append(Command([word.strip("'") for word in words], output))
    return found


def migrations(page: str) -> Iterator[tuple[str, str]]:
    """Yield the old and new programs in tables "to | old | new"."""
    for table in re.findall(r"^\| to \|.*\n(?:\|.*\n)+", page, re.MULTILINE):
        rows = [_cells(line) for line in table.splitlines()[2:]]
        old, new = ("\n".join(_code(row[i]) for row in rows) for i in (1, 2))
        yield old, new


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _code(cell: str) -> str:
    """Return the code of a cell; empty if the cell also has text."""
    words = _CODE.sub("", cell).replace("<br>", "")
    return "" if words else "\n".join(_CODE.findall(cell))


def names_of_sharray(page: str) -> set[str]:
    """Return the names after ``sh.`` or ``sharray.`` in text and tables."""
    text = _FENCE.sub("", page)
    code = " ".join(_CODE.findall(text))
    return set(re.findall(r"\b(?:sh|sharray)\.([A-Za-z_]\w*)", code))
