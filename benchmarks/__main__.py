"""The command ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import topics
from .harness import machine, results
from .harness.children import stoppable
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
    for topic in topics.TOPICS:
        if options.only and topic not in options.only:
            continue
        # A scratch directory for each topic, so that none finds another's files.
        with scratch(options.disk) as places:
            effort = QUICK if options.quick else FULL
            for table in topics.measure(topic, places, effort):
                found.tables.append(results.summarize(topic, table))
                report.show(console, found.tables[-1])
    if options.json is not None:
        results.write(found, options.json)


def _check_writable(path: Path) -> None:
    """Refuse a file that cannot be written before minutes are spent on it."""
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise BenchmarkError(
            f"cannot write {path}: expected a file in a directory that exists; "
            "name another one with --json"
        )


if __name__ == "__main__":
    main()
