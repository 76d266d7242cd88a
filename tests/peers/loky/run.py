"""Run loky's own tests with sharray installed.

A program: ``python -m peers.loky.run --help``, in tests. The suites are executors, the
same tests for each start method, and others; executors-pickle and others-pickle are
these with the pickler of the standard library.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import command
from ..source import tests_of
from ..suite import Suite, of_pytest

PROBE = Path(__file__).with_name("probe.py")
_EXECUTORS = "test_process_executor"  # as long as all others: they run beside them


def find(everything: bool, _: Path) -> list[Suite]:
    """Return the suites."""
    directory = tests_of("loky", "tests")
    paths = sorted(Path(directory, "tests").glob("test_*.py"))
    executors = [path for path in paths if path.name.startswith(_EXECUTORS)]
    others = [path for path in paths if path not in executors]
    assert executors
    assert others

    def suites(more: str, environment: dict[str, str]) -> list[Suite]:
        options = ["--skip-high-memory", "--import-mode=append"]
        return [
            of_pytest(
                name + more,
                [*(f"tests/{path.name}" for path in files), str(PROBE), *options],
                directory,
                imports=["loky"],
                environment=environment,
            )
            for name, files in (("executors", executors), ("others", others))
        ]

    found = suites("", {})
    if everything:
        found += suites("-pickle", {"LOKY_PICKLER": "pickle"})
    return found


if __name__ == "__main__":
    sys.exit(command.main("Run loky's own tests with sharray.", find))
