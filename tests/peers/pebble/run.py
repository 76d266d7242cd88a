"""Run pebble's own tests with sharray installed.

A program: ``python -m peers.pebble.run --help``, in tests. Each of its test modules is
a suite, since some set the start method of their process.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import command
from ..source import tests_of
from ..suite import Suite, of_pytest

_FOR_CI = "fork"


def find(everything: bool, _: Path) -> list[Suite]:
    """Return the suites."""
    directory = tests_of("pebble", "test") / "test"
    names = sorted(path.stem for path in directory.glob("test_*process*.py"))
    chosen = [name for name in names if everything or name.endswith(f"_{_FOR_CI}")]
    return [of_pytest(name, [f"{name}.py"], directory) for name in chosen]


if __name__ == "__main__":
    sys.exit(command.main("Run pebble's own tests with sharray.", find))
