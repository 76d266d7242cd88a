"""The report: tables on the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table as Grid

from ..harness.quantities import quantity, span
from ..harness.results import Facts, Result, Row
from ..harness.tables import Target

_WIDTH = 110


def console() -> Console:
    """As wide as the terminal, or wide enough for the tables in a file."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDTH)


def show_machine(console: Console, machine: Facts) -> None:
    """One line on what it is measured on."""
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    console.print(facts, soft_wrap=True)


def show(console: Console, table: Result) -> None:
    """One table, with its goals below."""
    grid = Grid(
        title=table.title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False
    )
    grid.add_column("")  # wrapped where the terminal is narrow
    for heading in HEADINGS:
        grid.add_column(heading, justify="right", no_wrap=True)
    for row in table.rows:
        grid.add_row(row.name, *cells(row, table))
    console.print()
    console.print(grid)
    for row in table.rows:
        if row.missing:
            console.print(
                f"  {row.name}: {row.missing}", highlight=False, soft_wrap=True
            )
    for target in table.targets:
        word = "[green]reached[/]" if target.reached else "[red]MISSED[/] "
        words = f"  {word} {target_in_words(target)}"
        console.print(words, highlight=False, soft_wrap=True)


def show_left_out(console: Console, tables: list[Result]) -> None:
    """Name the tables in which a contender got fewer rounds than planned."""
    cut = [table.name for table in tables if table.is_cut]
    if cut:
        console.print(
            f"\nTime ran out, or --rounds said so, before all rounds of {len(cut)} of "
            f"{len(tables)} tables: {'; '.join(cut)}. For more rounds, pass more "
            "--minutes.",
            highlight=False,
            soft_wrap=True,
        )


HEADINGS = ("median", "quartiles", "maximum", "ratio", "samples")


def cells(row: Row, table: Result) -> list[str]:
    """Return the cells below the headings; "4 of 20" samples if time ran out."""
    if row.found is None:
        return ["-"] * len(HEADINGS)
    found, unit = row.found, table.unit
    samples = str(row.samples)
    if row.samples < table.planned:
        samples += f" of {table.planned}"
    return [
        quantity(found.median, unit),
        span(found.low, found.high, found.median, unit),
        quantity(found.worst, unit),
        "" if row.ratio is None else quantity(row.ratio.median, "x"),
        samples,
    ]


def target_in_words(target: Target) -> str:
    """Return what was measured, with its quartiles, and the limit."""
    found, unit = target.measured, target.unit
    value, limit = quantity(found.median, unit), quantity(target.limit, unit)
    quartiles = span(found.low, found.high, found.median, unit)
    return f"{target.what}: {value} ({quartiles}), at most {limit}"
