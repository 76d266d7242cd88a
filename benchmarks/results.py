"""Results: what tables come to, as it is shown, written and read again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import BenchmarkError
from .harness import NOT_INSTALLED, Spread
from .tables import Contest, Goal, Table

Facts = dict[str, str | int | float]

_WIDTH = 88


@dataclass(frozen=True)
class Row:
    """A contender: either the reason why there is nothing, or what was found.

    Attributes
    ----------
    name : str
        As tables show it.
    missing : str
        Why it was not measured; empty if it was.
    samples : int
        How many there are.
    found : Spread, optional
        Of the samples.
    ratio : Spread, optional
        Of the samples to those of the reference, in the same rounds.
    """

    name: str
    missing: str = ""
    samples: int = 0
    found: Spread | None = None
    ratio: Spread | None = None


@dataclass(frozen=True)
class Result:
    """A table, with its samples summarized."""

    topic: str
    name: str
    title: str
    unit: str
    rows: list[Row]
    goals: list[Goal]
    contest: Contest | None

    def median(self, name: str) -> float | None:
        """Of a contender; None if it was not measured."""
        found = {row.name: row.found for row in self.rows}[name]
        return None if found is None else found.median


@dataclass(frozen=True)
class Results:
    """A whole run."""

    machine: Facts
    quick: bool
    tables: list[Result]


def summarize(topic: str, table: Table) -> Result:
    """Keep of each contender what tables show of it, to four digits."""
    goals = [
        Goal(one.what, _rounded(one.measured), one.limit, one.unit, one.worst)
        for one in table.goals
    ]
    rows = [_row(table, name) for name in table.samples]
    return Result(
        topic, table.name, table.title, table.unit, rows, goals, table.contest
    )


def _row(table: Table, name: str) -> Row:
    found, ratio = table.spread(name), table.ratio(name, table.reference)
    if found is None:
        return Row(name, table.missing.get(name, NOT_INSTALLED))
    number = len(table.samples[name] or ())
    return Row(name, "", number, _rounded(found), ratio and _rounded(ratio))


def _rounded(found: Spread) -> Spread:
    return Spread(**{key: float(f"{n:.4g}") for key, n in asdict(found).items()})


# -- as a file ---------------------------------------------------------------


def write(results: Results, path: Path) -> None:
    """Write JSON, in lines that can be compared."""
    path.write_text(_text(asdict(results)) + "\n", encoding="utf-8")


def _text(value: Any, indent: str = "") -> str:
    """JSON in which everything that fits stands on one line."""
    flat = json.dumps(value)
    if len(indent) + len(flat) <= _WIDTH or not isinstance(value, dict | list):
        return flat
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(k)}: {_text(v, inner)}" for k, v in value.items()]
    else:
        parts = [_text(one, inner) for one in value]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return f"{begin}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{end}"


def read(path: Path) -> Results:
    """What `write` has written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        tables = [_result(one) for one in found["tables"]]
        return Results(found["machine"], found["quick"], tables)
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(
            f"{path} does not hold results of these benchmarks ({error}): "
            "write it with python -m benchmarks --json"
        ) from error


def _result(found: dict[str, Any]) -> Result:
    rows = [
        Row(**{**row, "found": _spread(row["found"]), "ratio": _spread(row["ratio"])})
        for row in found["rows"]
    ]
    goals = [
        Goal(**{**goal, "measured": Spread(**goal["measured"])})
        for goal in found["goals"]
    ]
    contest = found["contest"] and Contest(**found["contest"])
    return Result(**{**found, "rows": rows, "goals": goals, "contest": contest})


def _spread(found: dict[str, float] | None) -> Spread | None:
    return None if found is None else Spread(**found)
