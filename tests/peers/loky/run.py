"""Run loky's own tests with sharray installed.

A program: ``python -m peers.loky.run --help``, in tests. The suites are loky and
loky-pickle, the same with the pickler of the standard library.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import command
from ..source import tests_of
from ..suite import Suite, of_pytest

PROBE = Path(__file__).with_name("probe.py")


def find(everything: bool, _: Path) -> list[Suite]:
    """Return the suites."""
    directory = tests_of("loky", "tests")
    arguments = ["tests", str(PROBE), "--skip-high-memory", "--import-mode=append"]

    def suite(name: str, environment: dict[str, str]) -> Suite:
        return of_pytest(
            name, arguments, directory, imports=["loky"], environment=environment
        )

    found = [suite("loky", {})]
    if everything:
        found.append(suite("loky-pickle", {"LOKY_PICKLER": "pickle"}))
    return found


if __name__ == "__main__":
    sys.exit(command.main("Run loky's own tests with sharray.", find))
