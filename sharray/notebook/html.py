"""Cards and tables for notebooks, as HTML that takes its colours from the page.

The styles set no colour of text or background: the page's own suit light and dark
themes. The greys, the blue and the red are visible on both. All of it can be read
without any style, too, as on sites that strip styles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from .text import printable

_FRAME = (
    "display:inline-block;border:1px solid rgba(127,127,127,.5);border-radius:4px;"
    "padding:.4em .8em;max-width:100%;overflow-x:auto"
)
_TABLE = "border:none;border-collapse:collapse;background:transparent;margin:.3em 0"
_ROW = "background:transparent"
_NAME = (
    "text-align:left;vertical-align:top;font-weight:normal;opacity:.7;border:none;"
    "padding:.1em 1em .1em 0;white-space:nowrap"
)
_VALUE = "text-align:left;vertical-align:top;border:none;padding:.1em 0"
_CELL = "text-align:left;vertical-align:top;border:none;padding:.1em 1.2em .1em 0"
_SHORT_CELL = f"{_CELL};white-space:nowrap"
_BAR = (
    "display:inline-block;width:{width};height:.7em;margin-right:.6em;overflow:hidden;"
    "border-radius:2px;background:rgba(127,127,127,.35)"
)
_FILL = "display:block;height:100%;background:{colour};width:{percent:.0f}%"
_BELOW = "background:transparent;margin:.4em 0 0 0;padding:0;line-height:1.3"
BLUE = "#2f81f7"
RED = "#d9534f"
GREEN = "#3fa45b"


def text(value: str) -> str:
    """Return text as HTML, with its markup and control characters made visible."""
    from html import escape  # 2 ms that only notebooks need

    return escape(printable(value))


def lines(values: Iterable[str]) -> str:
    """Return texts as HTML, one below the other."""
    return "<br>".join(map(text, values))


def card(title: str, facts: Iterable[tuple[str, str]], below: str = "") -> str:
    """Return a framed card of named facts.

    Parameters
    ----------
    title : str
        Its first line, HTML.
    facts : iterable of (str, str)
        Names and values, HTML.
    below : str, optional
        Text in a fixed-width font, HTML.
    """
    rows = "".join(
        f"<tr style='{_ROW}'><th style='{_NAME}'>{name}</th>"
        f"<td style='{_VALUE}'>{value}</td></tr>"
        for name, value in facts
    )
    text = f"<pre style='{_BELOW}'>{below}</pre>" if below else ""
    return (
        f"<div class='sharray-card' style='{_FRAME}'><strong>{title}</strong>"
        f"<table style='{_TABLE}'>{rows}</table>{text}</div>"
    )


def table(
    title: str,
    header: Sequence[str],
    rows: Iterable[Iterable[str]],
    *,
    long: Collection[str],
) -> str:
    """Return a framed table; all texts are HTML.

    Parameters
    ----------
    title : str
        Its first line.
    header : sequence of str
        Names of the columns.
    rows : iterable of iterable of str
        The cells.
    long : collection of str
        Names of the columns whose cells may take several lines.
    """
    names = "".join(f"<th style='{_NAME}'>{name}</th>" for name in header)
    styles = [_CELL if name in long else _SHORT_CELL for name in header]
    body = "".join(
        f"<tr style='{_ROW}'>"
        + "".join(
            f"<td style='{style}'>{cell}</td>"
            for style, cell in zip(styles, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class='sharray-table' style='{_FRAME}'><strong>{title}</strong>"
        f"<table style='{_TABLE}'><tr style='{_ROW}'>{names}</tr>{body}</table></div>"
    )


def bar(part: float, *, colour: str = BLUE, width: str = "10em") -> str:
    """Return a bar that is filled to a part from 0 to 1."""
    fill = _FILL.format(colour=colour, percent=100 * min(max(part, 0), 1))
    return (
        f"<span style='{_BAR.format(width=width)}'><span style='{fill}'></span></span>"
    )
