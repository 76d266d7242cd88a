"""Results: tables with their samples summarized, shown, written and read again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import BenchmarkError
from .measuring import Spread
from .tables import Contest, Table, Target

Facts = dict[str, str | int | float]


@dataclass(frozen=True)
class Row:
    """The figures of a contender."""

    name: str
    missing: str = ""  # why there are no figures; empty if there are
    samples: int = 0  # how many
    found: Spread | None = None
    # Ratios of samples of the same rounds: of this contender to the table's reference,
    # and of sharray to this contender, if both compete.
    ratio: Spread | None = None
    behind: Spread | None = None


@dataclass(frozen=True)
class Result:
    """A table, with its samples summarized."""

    topic: str
    name: str
    title: str
    unit: str
    rows: list[Row]
    targets: list[Target]
    contest: Contest | None
    planned: int = 0  # samples of each contender, had there been time

    @property
    def is_cut(self) -> bool:
        """Whether a contender has fewer samples than planned."""
        return any(0 < row.samples < self.planned for row in self.rows)

    def row(self, name: str) -> Row:
        """Return the row of a contender."""
        return next(row for row in self.rows if row.name == name)

    def median(self, name: str) -> float | None:
        """Return the median of a contender; None if it was not measured."""
        found = self.row(name).found
        return None if found is None else found.median


@dataclass(frozen=True)
class Results:
    """A whole run."""

    machine: Facts
    quick: bool
    tables: list[Result]


def summarize(topic: str, table: Table) -> Result:
    """Summarize each contender, to four digits."""
    targets = [
        Target(one.what, _rounded(one.measured), one.limit, one.unit)
        for one in table.targets
    ]
    rows = [_row(table, name) for name in table.samples]
    return Result(
        topic,
        table.name,
        table.title,
        table.unit,
        rows,
        targets,
        table.contest,
        table.planned,
    )


def _row(table: Table, name: str) -> Row:
    found, ratio = table.spread(name), table.ratio(name, table.reference)
    if found is None:
        return Row(name, table.missing.get(name, "not installed"))
    contest, behind = table.contest, None
    if contest is not None and name in contest.peers:
        behind = table.ratio(contest.ours, name)
    return Row(
        name,
        "",
        len(table.samples[name] or ()),
        _rounded(found),
        ratio and _rounded(ratio),
        behind and _rounded(behind),
    )


def _rounded(found: Spread) -> Spread:
    return Spread(**{key: float(f"{n:.4g}") for key, n in asdict(found).items()})


# -- as a file ---------------------------------------------------------------


def write(results: Results, path: Path) -> None:
    """Write results as JSON."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Read results that `write` has written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        tables = [_result(one) for one in found["tables"]]
        return Results(found["machine"], found["quick"], tables)
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(
            f"{path} does not hold results of these benchmarks ({error}): "
            "write it with python -m benchmarks --json FILE"
        ) from error


def _result(found: dict[str, Any]) -> Result:
    spreads = ("found", "ratio", "behind")
    rows = [
        Row(**{**row, **{key: _spread(row.get(key)) for key in spreads}})
        for row in found["rows"]
    ]
    targets = [
        Target(**{**target, "measured": Spread(**target["measured"])})
        for target in found["targets"]
    ]
    contest = found["contest"] and Contest(**found["contest"])
    return Result(**{**found, "rows": rows, "targets": targets, "contest": contest})


def _spread(found: dict[str, float] | None) -> Spread | None:
    return None if found is None else Spread(**found)
