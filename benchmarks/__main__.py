"""The command ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from . import topics
from .harness import machine, results
from .harness.children import stoppable
from .harness.clock import Clock
from .harness.errors import BenchmarkError
from .harness.measuring import FULL, QUICK
from .harness.results import Results
from .harness.scratch import scratch
from .report import terminal as report


def main() -> None:
    """Do what the command line says, with errors as one line on stderr."""
    options = _parser().parse_args()
    try:
        with stoppable():
            _run(options)
    except BenchmarkError as error:
        sys.exit(f"benchmarks: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description="Compare sharray with its peers and with the bare system calls.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small arrays and few rounds: shows that it works, not how fast",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=topics.TOPICS,
        metavar="TOPIC",
        help=f"measure this topic; may be repeated: {', '.join(topics.TOPICS)}",
    )
    parser.add_argument(
        "--minutes",
        type=_positive,
        default=10.0,
        metavar="N",
        help="how long all topics take at most, about (default: %(default)g); tables "
        "whose time runs out have fewer rounds, and say so",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="measure each contender N times at most; tables say what they left out",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results there as well"
    )
    parser.add_argument(
        "--disk",
        type=Path,
        metavar="DIR",
        default=Path("/var/tmp"),
        help="a directory on the disk to measure (default: %(default)s)",
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    """Measure topic after topic; each table is shown as soon as it is there."""
    if options.json is not None:
        _check_writable(options.json)
    console = report.console()
    found = Results(machine.describe(), options.quick, [])
    report.show_machine(console, found.machine)
    effort = QUICK if options.quick else FULL
    if options.rounds is not None:
        effort = effort._replace(most=max(options.rounds, 1))
    chosen = [one for one in topics.TOPICS if not options.only or one in options.only]
    planned = {name: topics.TOPICS[name].seconds for name in chosen}
    clock = Clock(60 * options.minutes, planned)
    # The longest first, so that others make up for the time that it takes too long.
    for topic in sorted(chosen, key=planned.__getitem__, reverse=True):
        # A scratch directory for each topic, so that none finds another's files.
        begun = time.monotonic()
        with scratch(options.disk) as places:
            paced = effort._replace(pace=clock.pace(topic))
            for table in topics.measure(topic, places, paced):
                found.tables.append(results.summarize(topic, table))
                report.show(console, found.tables[-1])
        console.print(f"\n{topic} took {time.monotonic() - begun:.0f} s")
    found.tables.sort(key=lambda table: chosen.index(table.topic))
    report.show_left_out(console, found.tables)
    if options.json is not None:
        results.write(found, options.json)


def _positive(text: str) -> float:
    if (found := float(text)) <= 0:
        raise ValueError
    return found


def _check_writable(path: Path) -> None:
    """Refuse a file that cannot be written before minutes are spent on it."""
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise BenchmarkError(
            f"cannot write {path}: expected a file in a directory that exists; "
            "name another one with --json"
        )


if __name__ == "__main__":
    main()
