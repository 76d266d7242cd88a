"""Run CPython's tests of multiprocessing and concurrent.futures with sharray.

A program: ``python -m peers.cpython.run --help``, in tests. The suites are fork,
spawn, forkserver and futures; each runs in one process, in random order.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import command
from ..running import say
from ..suite import Suite
from . import suites


def find(everything: bool, directory: Path) -> list[Suite]:
    """Return the suites that this interpreter has."""
    found = []
    for name in suites.NAMES:
        if name == "futures" and suites.futures_deadlock() and not everything:
            say(f"*** {suites.VERSION} DEADLOCKS IN {name}: ONLY WITH all ***")
            continue
        suite, said = suites.find(name, directory)
        if said:
            say(f"*** {said} ***")
        if suite is not None:
            found.append(suite)
    return found


if __name__ == "__main__":
    title = "Run CPython's tests of multiprocessing and concurrent.futures."
    sys.exit(command.main(title, find))
