"""Run joblib's own tests with sharray installed, and with views of shared arrays.

A program: ``python -m peers.joblib.run [--all]``, in tests. Without ``--all``, those
of arrays: how they are sent, stored, hashed and cached.
"""

from __future__ import annotations

import sys
from pathlib import Path

import joblib

from ..inputs import compare

MODULES = ["memmapping", "numpy_pickle", "hashing", "memory"]
ALL = [*MODULES, "parallel", "store_backends", "func_inspect"]
NO_FILES = "joblib writes no file for what workers see already"
EXPECTED = {
    "test_managed_backend_reuse_temp_folder": NO_FILES,
    "test_memmapping_on_large_enough_dev_shm": NO_FILES,
    "test_memmapping_pool_for_large_arrays[": NO_FILES,
    "test_memmapping_temp_folder_thread_safety": NO_FILES,
    "test_parallel_isolated_temp_folders": NO_FILES,
}


def main(arguments: list[str]) -> int:
    """Run the tests; returns the exit status."""
    package = Path(joblib.__file__).parent
    names = ALL if "--all" in arguments else MODULES
    modules = [str(package / "test" / f"test_{name}.py") for name in names]
    return compare(package, modules, EXPECTED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
