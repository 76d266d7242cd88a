"""Run NumPy's own tests on shared arrays: ``python -m peers.numpy.run``, in tests.

Each array that a test makes by `numpy.array`, `zeros` and the like is replaced by an
equal shared one. A test that fails then, but passes with a trivial subclass or a
`numpy.memmap` in the same place, is a difference. Each has to stand in
`peers.numpy.accepted` with its reason, and each that stands there has to occur.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection

from . import accepted
from .running import SITE, Outcomes, run

_CONTROLS = ("subclass", "memmap")

# What is about arrays themselves. All files take a quarter of an hour.
_SELECTION = (
    "_core/tests/test_array_coercion.py",
    "_core/tests/test_array_interface.py",
    "_core/tests/test_arrayprint.py",
    "_core/tests/test_dlpack.py",
    "_core/tests/test_indexing.py",
    "_core/tests/test_item_selection.py",
    "_core/tests/test_mem_overlap.py",
    "_core/tests/test_memmap.py",
    "_core/tests/test_multiarray.py",
    "_core/tests/test_nditer.py",
    "_core/tests/test_numeric.py",
    "_core/tests/test_overrides.py",
    "_core/tests/test_records.py",
    "_core/tests/test_regression.py",
    "_core/tests/test_shape_base.py",
    "_core/tests/test_ufunc.py",
    "lib/tests/test_array_utils.py",
    "lib/tests/test_arraysetops.py",
    "lib/tests/test_function_base.py",
    "lib/tests/test_index_tricks.py",
    "lib/tests/test_recfunctions.py",
    "lib/tests/test_shape_base.py",
    "lib/tests/test_stride_tricks.py",
    "lib/tests/test_twodim_base.py",
    "linalg/tests",
    "ma/tests",
)
_ALL = ("_core/tests", "lib/tests", "linalg/tests", "ma/tests")


def differences(found: Outcomes, files: Collection[str], slow: bool) -> Outcomes:
    """Return the tests that fail on shared arrays, and not on a control, with why."""
    failed = {test: why for test, why in found.items() if why.startswith("failed")}
    if not failed:
        return {}
    passed: set[str] = set()
    for kind in _CONTROLS:
        outcomes = run(kind, files, only=failed, slow=slow)
        passed |= {test for test, outcome in outcomes.items() if outcome == "passed"}
    return {test: why for test, why in failed.items() if test in passed}


def confirmed(found: Outcomes, files: Collection[str], slow: bool) -> Outcomes:
    """Return those differences that occur again."""
    if not found:
        return {}
    again = run("shared", files, only=found, slow=slow)
    once = {test for test, outcome in again.items() if outcome == "passed"}
    for test in sorted(once):
        print(f"failed once, and then passed: {test}\n    {found[test]}")
    return {test: why for test, why in found.items() if test not in once}


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="all files, and slow tests")
    parser.add_argument("file", nargs="*", help="test files, as lib/tests/test_io.py")
    options = parser.parse_args(arguments)
    chosen = options.file or (_ALL if options.all else _SELECTION)
    files = [str(SITE / "numpy" / name) for name in chosen]
    start = time.monotonic()
    found = run("shared", files, slow=options.all)
    print(f"{len(found)} tests, {time.monotonic() - start:.0f} s", flush=True)
    differing = differences(found, files, options.all)
    listed, unlisted, vanished = accepted.sort(found, differing)
    unlisted = confirmed(unlisted, files, options.all)
    for test, why in sorted(unlisted.items()):
        print(f"not listed: {test}\n    {why}")
    for test in vanished:
        print(f"listed, but passes now: {test}")
    print(f"{len(listed)} accepted differences, {time.monotonic() - start:.0f} s")
    bad = len(unlisted) + len(vanished)
    good = sum(why == "passed" for why in found.values())
    print(f"{good} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
