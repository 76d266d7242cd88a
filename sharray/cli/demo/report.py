"""The table that the demo prints."""

from __future__ import annotations

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from .measure import Measured
from .terrain import LAMPS


def table(name: str, shape: tuple[int, ...], found: Measured) -> Table:
    """The three ways, with their speed relative to that of the first one."""
    rows, columns = shape
    size = decimal(rows * columns * LAMPS.itemsize)
    title = f"{name}: {rows} x {columns} points, {size}, lit by {len(LAMPS)} lamps"
    result = Table(title=Text(title), title_justify="left", title_style="bold")
    result.add_column("")
    for heading in ("seconds", "speed", "sent to workers", "sent back"):
        result.add_column(heading, justify="right")
    for way in found.ways:
        result.add_row(
            way.name,
            f"{way.seconds:.3g}",
            f"{found.ways[0].seconds / way.seconds:.2f} x",
            "" if way.sent is None else decimal(way.sent),
            "" if way.returned is None else decimal(way.returned),
        )
    return result


def remarks(found: Measured, durable: bool, difference: float, checking: float) -> str:
    """What there is to say besides the table."""
    flushed = (
        f"flush() to the disk: {found.flushing:.3g} s."
        if durable
        else "flush(): nothing to do, in RAM."
    )
    return (
        "Each time is the best of three. Not in them: "
        f"compiling, {found.compiling:.3g} s;\nstarting the workers, which compile "
        f"too, {found.starting:.3g} s. {flushed}\n"
        f"Checked against plain NumPy, which took {checking:.3g} s: the largest "
        f"difference is {difference:.2g}."
    )
