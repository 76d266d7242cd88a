"""Run peers' suites, one after the other: ``python -m peers [PEER ...]``, in tests.

Without arguments, what CI runs of each peer; with ``all``, everything. The last line
has the sum of all.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
_SUMMARY = re.compile(r"(\d+) passed, (\d+) failed")


def main(arguments: list[str]) -> int:
    """Run the peers that are named; returns the exit status."""
    known = sorted(path.parent.name for path in HERE.glob("*/run.py"))
    names = [name for name in arguments if name != "all"] or known
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"expected names of peers, {', '.join(known)}, or all; got {unknown}")
    more = ["--all"] if "all" in arguments else []
    passed = failed = 0
    for name in names:
        good, bad = _run(name, more)
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _run(name: str, more: list[str]) -> tuple[int, int]:
    """Run one peer; returns how many tests have passed and failed."""
    print(f"== {name}", flush=True)
    start = time.monotonic()
    summary = None
    command = [sys.executable, "-m", f"peers.{name}.run", *more]
    with subprocess.Popen(
        command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
            summary = _SUMMARY.fullmatch(line.strip())
    print(f"== {name}: {time.monotonic() - start:.0f} s", flush=True)
    passed, failed = map(int, summary.groups()) if summary else (0, 0)
    if child.returncode != 0 and not failed:
        print(f"{name}: ended with {child.returncode} and without a failed test")
        failed = 1
    if child.returncode == 0 and not passed:
        print(f"{name}: the last line is not 'N passed, N failed', or no test passed")
        failed += 1
    return passed, failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
