"""How an array presents itself, in a terminal and in a notebook."""

from __future__ import annotations

from typing import NamedTuple


class Card(NamedTuple):
    """What is shown of an array besides its values."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    home: str
    mode: str | None
    durable: bool


def size(nbytes: float) -> str:
    """A number of bytes for people.

    Examples
    --------
    >>> size(800), size(5 << 20), size(3 << 40)
    ('800 B', '5.0 MiB', '3.0 TiB')
    """
    if nbytes < 1024:
        return f"{nbytes} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        nbytes /= 1024
        if nbytes < 1024 or unit == "TiB":
            break
    return f"{nbytes:.1f} {unit}"


def _rows(card: Card) -> list[tuple[str, str]]:
    rows = [
        ("dtype", card.dtype),
        ("shape", str(card.shape)),
        ("size", size(card.nbytes)),
        ("lives in", card.home),
    ]
    if card.mode is not None:
        rows.append(("mode", card.mode))
    rows.append(("durable", "yes, by flush()" if card.durable else "no"))
    return rows


def line(card: Card) -> str:
    """The card in one line."""
    durable = "durable" if card.durable else "not durable"
    return (
        f"<SharedArray {card.dtype} {card.shape}, {size(card.nbytes)} in {card.home}, "
        f"mode {card.mode}, {durable}>"
    )


def html(card: Card) -> str:
    """The card as a table that takes its colours from the page."""
    from html import escape  # 2 ms that only notebooks need

    rows = "".join(
        f"<tr><th style='text-align:left'>{name}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in _rows(card)
    )
    caption = "SharedArray" if card.mode is not None else "SharedArray, a private copy"
    return f"<table class='sharray-card'><caption>{caption}</caption>{rows}</table>"
