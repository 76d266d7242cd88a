"""Run loky's own tests with sharray installed.

A program: ``python -m peers.loky.run --help``, in tests. The suites are loky, spawn
and forkserver, the same tests for each start method, and others; loky-pickle and so on
are these with the pickler of the standard library.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import command
from ..source import tests_of
from ..suite import Suite, of_pytest

PROBE = Path(__file__).with_name("probe.py")
_METHODS = ["loky", "spawn", "forkserver"]


def find(everything: bool, _: Path) -> list[Suite]:
    """Return the suites."""
    directory = tests_of("loky", "tests")
    names = sorted(path.name for path in Path(directory, "tests").glob("test_*.py"))
    files = {name: [f"test_process_executor_{name}.py"] for name in _METHODS}
    files["others"] = [name for name in names if [name] not in files.values()]

    def suites(more: str, environment: dict[str, str]) -> list[Suite]:
        options = ["--skip-high-memory", "--import-mode=append"]
        return [
            of_pytest(
                name + more,
                [*(f"tests/{path}" for path in chosen), str(PROBE), *options],
                directory,
                imports=["loky"],
                environment=environment,
            )
            for name, chosen in files.items()
        ]

    found = suites("", {})
    if everything:
        found += suites("-pickle", {"LOKY_PICKLER": "pickle"})
    return found


if __name__ == "__main__":
    sys.exit(command.main("Run loky's own tests with sharray.", find))
