"""The command ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .errors import BenchmarkError
from .running import DISK, run
from .topics import TOPICS


def main() -> None:
    """Do what the command line says, with errors as one line on stderr."""
    try:
        run(**vars(_parser().parse_args()))
    except BenchmarkError as error:
        sys.exit(f"benchmarks: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description="Measure sharray beside its peers and the bare system calls.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small arrays and few rounds: shows that it works, not how fast",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TOPIC",
        help=f"measure this topic; may be repeated: {', '.join(TOPICS)}",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write results.json, tables.md and plots there; needs matplotlib",
    )
    parser.add_argument(
        "--disk",
        type=Path,
        metavar="DIR",
        default=DISK,
        help="a directory on the disk to measure (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    main()
