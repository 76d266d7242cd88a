"""Run multiprocess' own tests with sharray installed.

A program: ``python -m peers.multiprocess.run --help``, in tests. The suites are fork,
spawn and forkserver; CI runs fork. Each runs in one process, in random order.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import command
from ..suite import Suite

_PARTS = ("test_manager", "test_misc", "test_processes", "test_threads")


def find(everything: bool, _: Path) -> list[Suite]:
    """Return the suites."""
    methods = ("fork", "spawn", "forkserver") if everything else ("fork",)
    return [_suite(method) for method in methods]


def _suite(method: str) -> Suite:
    package = f"multiprocess.tests.test_multiprocessing_{method}"
    modules = [f"{package}.{part}" for part in _PARTS]
    options = {
        "imports": ["multiprocess"],
        "modules": modules,
        "every_message": method == "fork",  # as for CPython's
    }
    return Suite(method, "peers.unittest_program", options)


if __name__ == "__main__":
    sys.exit(command.main("Run multiprocess' own tests with sharray.", find))
