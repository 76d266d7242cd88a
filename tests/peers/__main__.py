"""Run peers' suites, three peers at a time: ``python -m peers [PEER ...]``, in tests.

Without arguments, what CI runs of each peer; with ``all``, everything. The last line
has the sum of all.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .running import say

HERE = Path(__file__).resolve().parent
_LONGEST = ["loky", "numpy"]
_AT_ONCE = 3  # one waits most of the time
_SUMMARY = re.compile(r"(\d+) passed, (\d+) failed")


def main(arguments: list[str]) -> int:
    """Run the peers that are named; returns the exit status."""
    known = sorted(path.parent.name for path in HERE.glob("*/run.py"))
    # Those that take longest come first, so that the others run beside them.
    known.sort(key=lambda name: name not in _LONGEST)
    names = [name for name in arguments if name != "all"] or known
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"expected names of peers, {', '.join(known)}, or all; got {unknown}")
    more = ["--all"] if "all" in arguments else []
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        found = list(executor.map(lambda name: _run(name, more), names))
    failed = sum(bad for _, bad in found)
    say(f"{sum(good for good, _ in found)} passed, {failed} failed")
    return 1 if failed else 0


def _run(name: str, more: list[str]) -> tuple[int, int]:
    """Run one peer; returns how many tests have passed and failed."""
    say(f"== {name}")
    start = time.monotonic()
    summary = None
    command = [sys.executable, "-m", f"peers.{name}.run", *more]
    with subprocess.Popen(
        command,
        cwd=HERE.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            say(f"{name} | {line.rstrip()}")
            summary = _SUMMARY.fullmatch(line.strip())
    passed, failed = map(int, summary.groups()) if summary else (0, 0)
    if child.returncode != 0 and not failed:
        say(f"{name}: ended with {child.returncode} and without a failed test")
        failed = 1
    if child.returncode == 0 and not passed:
        say(f"{name}: the last line is not 'N passed, N failed', or no test passed")
        failed += 1
    say(f"== {name}: {time.monotonic() - start:.0f} s")
    return passed, failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
