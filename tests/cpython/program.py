"""Run one test module of CPython's: a program, started by `cpython.running`.

Its one argument is a JSON object, the fields of `cpython.running.Order`. It appends
a line of JSON to the report for each test that begins and each that ends. Children
that are spawned import it too, so it does nothing unless it is the main program.
"""

from __future__ import annotations

import faulthandler
import fnmatch
import importlib
import json
import os
import sys
import unittest
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any


class Result(unittest.TextTestResult):
    """Also writes what happens to the report."""

    report = ""
    main = os.getpid()

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        self._write(test, "started")
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        self._write(test, "stopped")

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self._write(test, "passed")
        super().addSuccess(test)

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        self._write(test, "failed", self._exc_info_to_string(err, test))
        super().addError(test, err)

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self._write(test, "failed", self._exc_info_to_string(err, test))
        super().addFailure(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self._write(test, "skipped", reason)
        super().addSkip(test, reason)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            detail = self._exc_info_to_string(err, test)
            self._write(test, "failed", f"{subtest}\n{detail}")
        super().addSubTest(test, subtest, err)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self._write(test, "passed")
        super().addExpectedFailure(test, err)

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        self._write(test, "failed", "it passes, unexpectedly")
        super().addUnexpectedSuccess(test)

    def _write(self, test: unittest.TestCase, event: str, detail: str = "") -> None:
        if os.getpid() == self.main:
            write_line(self.report, test=test.id(), event=event, detail=detail)


def write_line(report: str, **fields: str) -> None:
    """Append to the report at once: a process that dies has written all."""
    with open(report, "a", encoding="utf-8") as file:
        file.write(json.dumps(fields) + "\n")


def each_test(suite: Any) -> Iterator[unittest.TestCase]:
    """The tests in suites of suites."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each_test(test)
        else:
            yield test


def chosen(order: Any) -> list[unittest.TestCase]:
    """The tests of the module that are to be run."""
    loaded = unittest.defaultTestLoader.loadTestsFromModule(
        importlib.import_module(order.module)
    )
    skip = set(order.skip)
    return [
        test
        for test in each_test(loaded)
        if test.id() not in skip
        and any(fnmatch.fnmatchcase(test.id(), pattern) for pattern in order.patterns)
    ]


def main() -> None:
    """Run the tests of a module as `test.libregrtest` would."""
    order = SimpleNamespace(**json.loads(sys.argv[1]))
    if order.install:
        import sharray

        sharray.install(threshold=order.threshold)
    faulthandler.enable(all_threads=True)
    from test import support
    from test.libregrtest import utils

    utils.setup_unraisable_hook()
    utils.setup_threading_excepthook()
    support.record_original_stdout(sys.stdout)
    support.environment_altered = False
    support.verbose = True
    support.use_resources = ["cpu", "walltime"]
    # A pool of threads that is terminated late waits for so long, now and then.
    support.LONG_TIMEOUT = 100.0
    Result.report = order.report
    tests = chosen(order)
    runner = unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=Result)
    runner.run(unittest.TestSuite(tests))
    event = "failed" if support.environment_altered else "passed"
    detail = "see the log: dangling processes, threads or unraisable exceptions"
    write_line(order.report, test="its environment", event=event, detail=detail)
    write_line(order.report, test="", event="end", detail="")


if __name__ == "__main__":
    main()
