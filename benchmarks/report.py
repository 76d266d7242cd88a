"""The report: results as JSON, and as tables on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as Grid

from .harness import Spread
from .tables import Goal, Table

Machine = dict[str, str | int | float]


def to_json(machine: Machine, tables: Iterable[Table], *, quick: bool) -> str:
    """Everything, with a line feed at the end."""
    found = {
        "machine": machine,
        "quick": quick,
        "tables": [_table_as_dict(table) for table in tables],
    }
    return json.dumps(found, indent=2) + "\n"


def _table_as_dict(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "title": table.title,
        "unit": table.unit,
        "reference": table.reference,
        "contenders": [_contender_as_dict(table, name) for name in table.samples],
        "goals": [_goal_as_dict(goal) for goal in table.goals],
    }


def _contender_as_dict(table: Table, name: str) -> dict[str, Any]:
    found, ratio = table.spread(name), table.ratio(name, table.reference)
    if found is None:
        return {"name": name, "status": "not installed"}
    return {
        "name": name,
        "status": "measured",
        **found._asdict(),
        "samples": len(table.samples[name] or ()),
        "ratio": None if ratio is None else ratio._asdict(),
    }


def _goal_as_dict(goal: Goal) -> dict[str, Any]:
    return {
        "what": goal.what,
        "unit": goal.unit,
        "limit": goal.limit,
        "measured": goal.value,
        "of": "maximum" if goal.worst else "median",
        **{name: getattr(goal.measured, name) for name in ("low", "high")},
        "reached": goal.reached,
    }


def show_machine(console: Console, machine: Machine) -> None:
    """One line on what it is measured on."""
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()))


def show(console: Console, table: Table) -> None:
    """One table, with its goals below."""
    grid = Grid(
        title=table.title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False
    )
    grid.add_column("", no_wrap=True)
    for heading in ("median", "quartiles", "maximum", "ratio"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for name in table.samples:
        grid.add_row(name, *_cells(table, name))
    console.print()
    console.print(grid)
    for goal in table.goals:
        console.print(_verdict(goal), highlight=False, soft_wrap=True)


def _cells(table: Table, name: str) -> list[str]:
    found, ratio = table.spread(name), table.ratio(name, table.reference)
    if found is None:
        return ["not installed", "", "", ""]
    return [
        quantity(found.median, table.unit),
        _quartiles(found, table.unit),
        quantity(found.worst, table.unit),
        "" if ratio is None else quantity(ratio.median, "x"),
    ]


def _verdict(goal: Goal) -> str:
    word = "[green]reached[/]" if goal.reached else "[red]MISSED[/] "
    kind = "maximum" if goal.worst else _quartiles(goal.measured, goal.unit)
    value, limit = quantity(goal.value, goal.unit), quantity(goal.limit, goal.unit)
    return f"  {word} {goal.what}: {value} ({kind}), at most {limit}"


def _quartiles(found: Spread, unit: str) -> str:
    """Both in the unit of the median."""
    factor, _ = _scale(found.median, unit)
    return f"{found.low * factor:.3g} - {found.high * factor:.3g}"


def quantity(value: float, unit: str) -> str:
    """A number with its unit, for people.

    Examples
    --------
    >>> quantity(1.25e-5, "s"), quantity(0.031, "s"), quantity(1.084, "x")
    ('12.5 us', '31 ms', '1.08x')
    >>> quantity(213, "B"), quantity(0.000035, "x")
    ('213 B', '3.5e-05x')
    """
    factor, name = _scale(value, unit)
    return f"{value * factor:.3g}{name}"


def _scale(value: float, unit: str) -> tuple[float, str]:
    """By what to multiply so that few digits do, and the name of that unit."""
    if unit == "x":
        return 1, "x"
    scales = {
        "s": [(1e9, " ns"), (1e6, " us"), (1e3, " ms"), (1, " s")],
        "B": [(1, " B"), (1e-3, " kB"), (1e-6, " MB")],
    }
    fitting = [scale for scale in scales[unit] if value * scale[0] < 1000]
    return fitting[0] if fitting else scales[unit][-1]
