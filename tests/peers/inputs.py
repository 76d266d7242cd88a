"""Peers' own tests with shared arrays in the place of those that they make.

A plugin for pytest, and what runs it: once with plain arrays, once with each of the
ways below, and tells which tests pass with plain arrays only. What a test module makes
by ``np.ones`` and the like is then a plain view of a shared array, in C or Fortran
order, so that tests that ask for exactly an ndarray get one.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import sharray as sh

MAKERS = ["arange", "array", "empty", "eye", "full", "linspace", "ones", "zeros"]
# plain: as they are; installed: plain, and messages through shared memory.
WAYS = ["installed", "C", "F"]
_WAY = "SHARRAY_TESTS_WAY"
_REPORT = "SHARRAY_TESTS_REPORT"
Outcomes = dict[str, str]


def shared(array: Any, order: str) -> Any:
    """Return a plain view of a shared array with the same values.

    What is no ordinary array, or has a dtype that cannot be shared, stays.
    """
    if type(array) is not np.ndarray or array.dtype.hasobject or not array.nbytes:
        return array
    try:
        found = sh.empty(array.shape, array.dtype, order)
    except sh.DtypeError:
        return array
    found[...] = array
    return np.asarray(found)


class SharedNumPy(ModuleType):
    """NumPy, whose constructors return views of shared arrays."""

    def __init__(self, order: str) -> None:
        super().__init__("numpy")
        for name in MAKERS:
            setattr(self, name, _Sharing(name, order))

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def __reduce__(self) -> Any:
        return importlib.import_module, ("numpy",)


class _Sharing:
    """One of NumPy's constructors, which pickles as that."""

    def __init__(self, name: str, order: str) -> None:
        self._name, self._order = name, order

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        made = getattr(np, self._name)(*arguments, **options)
        return shared(made, options.get("order") or self._order)

    def __reduce__(self) -> Any:
        return _original, (self._name,)


def _original(name: str) -> Any:
    return getattr(np, name)


# -- the plugin ----------------------------------------------------------------


def pytest_configure() -> None:
    if os.environ[_WAY] == "installed":
        sh.install(threshold=0)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    order = os.environ[_WAY]
    if order in ("C", "F"):
        for module in {item.module for item in items}:
            if getattr(module, "np", None) is np:
                module.np = SharedNumPy(order)


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.outcome != "passed":
        with open(os.environ[_REPORT], "a", encoding="utf-8") as file:
            file.write(json.dumps([report.nodeid, report.outcome]) + "\n")


# -- what runs it --------------------------------------------------------------


def run(package: Path, arguments: Iterable[str], way: str) -> Outcomes:
    """Run tests of a package; returns the outcome of each.

    Parameters
    ----------
    package : Path
        Where it is installed.
    arguments : iterable of str
        For pytest: files or tests below `package`, and options.
    way : str
        ``plain`` or one of `WAYS`.
    """
    tests = Path(__file__).resolve().parents[1]
    with ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="sharray-peers-")
        )
        report = Path(directory, "report")
        report.touch()
        path = os.pathsep.join([str(tests), str(tests.parent)])
        options = ["-q", "--no-header", "-c", os.devnull, "--timeout=240"]
        options += [f"--rootdir={package}", f"--confcutdir={package}"]
        options += ["-p", "no:cacheprovider", "-p", "peers.inputs"]
        ram = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
        with Path(directory, "output").open("w+") as output:
            subprocess.run(
                [sys.executable, "-m", "pytest", *options, *arguments],
                cwd=directory,
                env=os.environ
                | {"PYTHONPATH": path, _WAY: way, _REPORT: str(report)}
                | {"SHARRAY_RAM_DIR": ram},
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        lines = report.read_text("utf-8").splitlines()
    return dict(map(json.loads, lines))


def compare(
    package: Path,
    arguments: list[str],
    expected: Mapping[str, str],
    ways: Iterable[str] = WAYS,
) -> int:
    """Run tests in all ways and print what is worse than plain; the exit status.

    Parameters
    ----------
    package, arguments
        See `run`.
    expected : mapping
        Parts of the ids of tests that cannot pass with shared arrays, and why.
    ways : iterable of str
        Of `WAYS`.
    """
    plain = run(package, arguments, "plain")
    print(f"plain: {_count(plain)}", flush=True)
    passed = failed = 0
    for way in ways:
        found = run(package, arguments, way)
        print(f"{way}: {_count(found)}", flush=True)
        worse = [
            test
            for test, outcome in plain.items()
            if outcome == "passed" and found.get(test) != "passed"
        ]
        known = {test: part for test in worse for part in expected if part in test}
        for test, part in known.items():
            print(f"  expected: {test}: {expected[part]}")
        real = [test for test in worse if test not in known]
        if real:  # once more, since some depend on the time that they take
            again = run(package, [_argument(package, test) for test in real], way)
            real = [test for test in real if again.get(test) != "passed"]
        for test in real:
            print(f"  WORSE WITH SHARRAY: {test}", flush=True)
        passed += sum(outcome == "passed" for outcome in found.values())
        failed += len(real)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


def _argument(package: Path, test: str) -> str:
    return str(package / test)


def _count(outcomes: Outcomes) -> str:
    kinds = sorted(set(outcomes.values()))
    return ", ".join(f"{list(outcomes.values()).count(k)} {k}" for k in kinds)
