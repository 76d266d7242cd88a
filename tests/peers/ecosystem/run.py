"""Compare calls of other libraries: ``python -m peers.ecosystem.run``, in tests.

Each call is made on shared and on ordinary arrays of all layouts. Libraries that are
not installed are named, and left out.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import warnings

from . import calls as ecosystem


def main() -> int:
    """Make all calls; returns the exit status."""
    warnings.simplefilter("ignore")  # of their imports
    passed = failed = 0
    with (
        tempfile.TemporaryDirectory(prefix="sharray-peers-") as work,
        tempfile.TemporaryDirectory(prefix="sharray-peers-", dir="/dev/shm") as ram,
    ):
        os.chdir(work)
        os.environ["SHARRAY_RAM_DIR"] = ram
        for library in ecosystem.CALLS:
            if importlib.util.find_spec(library.partition(".")[0]) is None:
                print(f"{library}: not installed, left out")
                continue
            try:
                equal = sum(1 for _ in ecosystem.compare(library))
            except AssertionError as error:
                failed += 1
                print(f"{library}: {error}")
            else:
                passed += equal
                print(f"{library}: {equal} equal", flush=True)
        os.chdir("/")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main() if sys.argv[1:] in ([], ["--all"]) else print(__doc__) or 2)
