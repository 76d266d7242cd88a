"""The table that the demo prints."""

from __future__ import annotations

from typing import Any

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
    for heading in ("seconds", "speed", "to start", "sent", "sent back"):
        result.add_column(heading, justify="right")
    for way in found.ways:
        result.add_row(
            way.name,
            f"{way.seconds:.3g}",
            f"{found.ways[0].seconds / way.seconds:.2f} x",
            "" if way.starting is None else f"{way.starting:.2g}",
            "" if way.sent is None else decimal(way.sent),
            "" if way.returned is None else decimal(way.returned),
        )
    return result


def document(
    name: str, shape: tuple[int, ...], found: Measured, durable: bool, difference: float
) -> dict[str, Any]:
    """The same, for programs: seconds and bytes."""
    measured = found._asdict() | {"ways": [way._asdict() for way in found.ways]}
    return {
        "terrain": name,
        "shape": list(shape),
        **measured,
        "durable": durable,
        "largest_difference": difference,
    }


def remarks(found: Measured, durable: bool, difference: float, checking: float) -> str:
    """What there is to say besides the table."""
    flushed = (
        f"flush() to the disk: {found.flushing:.3g} s."
        if durable
        else "flush(): nothing to do, in RAM."
    )
    return (
        "Each time is the best of three; compiling, once for all processes, took "
        f"{found.compiling:.3g} s.\n"
        f"{_team(found.processes - 1, found.handles)} {flushed}\n"
        f"Checked against plain NumPy, which took {checking:.3g} s: the largest "
        f"difference is {difference:.2g}."
    )


def _team(workers: int, handles: int) -> str:
    """Who worked in place, and what was sent to them."""
    if workers == 0:
        return "The team is this process alone."
    them = "1 worker process" if workers == 1 else f"{workers} worker processes"
    return (
        f"The team is this process and {them}. Each worker got machine code and\n"
        f"two handles, {decimal(handles)}, once; a run sends nothing."
    )
