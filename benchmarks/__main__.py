"""The command ``python -m benchmarks``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from . import (
    atomics,
    creating,
    dispatch,
    elements,
    flushing,
    handles,
    importing,
    loops,
    machine,
    opening,
    passing,
    passing_plot,
    reductions,
    report,
    starting,
)
from .harness import FULL, QUICK, Effort
from .scratch import Scratch, scratch
from .tables import Table

_TOPICS: dict[str, Callable[[Scratch, Effort], Iterator[Table]]] = {
    "opening": opening.run,
    "handles": handles.run,
    "elements": elements.run,
    "flushing": flushing.run,
    "creating": creating.run,
    "importing": importing.run,
    "dispatch": dispatch.run,
    "loops": loops.run,
    "reductions": reductions.run,
    "starting": starting.run,
    "atomics": atomics.run,
    "passing": passing.run,
}


def main() -> None:
    """Measure, and show each table as soon as it is there."""
    options = _parser().parse_args()
    console = Console()
    facts = machine.describe()
    report.show_machine(console, facts)
    tables = []
    for table in _measure(options):
        report.show(console, table)
        tables.append(table)
    if options.json is not None:
        text = report.to_json(facts, tables, quick=options.quick)
        options.json.write_text(text, encoding="utf-8")
    if options.plot is not None:
        passing_plot.draw(tables, options.plot)


def _measure(options: argparse.Namespace) -> Iterator[Table]:
    effort = QUICK if options.quick else FULL
    for name in options.only or _TOPICS:
        # One for each topic, so that none finds the files of another.
        with scratch(options.disk) as places:
            yield from _TOPICS[name](places, effort)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small arrays and few rounds: shows that it works, not how fast",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=_TOPICS,
        help="measure this topic; may be repeated",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results there as well"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the topic passing there, .svg or .png; needs matplotlib",
    )
    parser.add_argument(
        "--disk",
        type=Path,
        metavar="DIR",
        default=Path("/var/tmp"),
        help="a directory on the disk to measure (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    main()
