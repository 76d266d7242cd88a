"""Run loky's own tests with sharray installed.

A program: ``python -m peers.loky.run --help``, in tests. The suites are loky and
loky-pickle, the same with the pickler of the standard library.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import command
from ..source import tests_of
from ..suite import Suite

PROBE = Path(__file__).with_name("probe.py")


def find(everything: bool, _: Path) -> list[Suite]:
    """Return the suites."""
    directory = tests_of("loky", "tests")
    arguments = [
        "tests",
        str(PROBE),
        "--skip-high-memory",
        "--rootdir=.",
        "--config-file=/dev/null",
        "--import-mode=append",
        "-p",
        "no:cacheprovider",
        "-v",
    ]
    options = {"imports": ["loky"], "arguments": arguments, "shuffle": False}
    program = "peers.pytest_program"
    found = [Suite("loky", program, options, directory)]
    if everything:
        pickle = {"LOKY_PICKLER": "pickle"}
        found.append(
            Suite("loky-pickle", program, options, directory, environment=pickle)
        )
    return found


if __name__ == "__main__":
    sys.exit(command.main("Run loky's own tests with sharray.", find))
