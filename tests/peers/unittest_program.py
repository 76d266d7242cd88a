"""Run the tests of unittest modules: a program that `peers.running` starts.

Its one argument is the file of an order. Children that are spawned import this
module too, so it does nothing unless it is the main program.
"""

from __future__ import annotations

import faulthandler
import importlib
import multiprocessing
import sys
import unittest
from collections.abc import Iterator
from typing import Any

from peers.reporting import Report, is_chosen, read_order, set_up, shuffled
from peers.suite import ENVIRONMENT


class Result(unittest.TextTestResult):
    """Also writes what happens to the report."""

    report: Report
    every_message: bool

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        if self.every_message:
            receive_a_message()
        self.report.start(test.id())
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        self.report.stop(test.id())

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self.report.write(test.id(), "passed")
        super().addSuccess(test)

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        self.report.write(test.id(), "failed", self._exc_info_to_string(err, test))
        super().addError(test, err)

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self.report.write(test.id(), "failed", self._exc_info_to_string(err, test))
        super().addFailure(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self.report.write(test.id(), "skipped", reason)
        super().addSkip(test, reason)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            detail = self._exc_info_to_string(err, test)
            self.report.write(test.id(), "failed", f"{subtest}\n{detail}")
        super().addSubTest(test, subtest, err)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self.report.write(test.id(), "passed")
        super().addExpectedFailure(test, err)

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        self.report.write(test.id(), "failed", "it passes, unexpectedly")
        super().addUnexpectedSuccess(test)


def receive_a_message() -> None:
    """Make the process one that has received through shared memory before.

    It registers a finalizer with multiprocessing when it first does, and again after
    multiprocessing has run them all, as CPython's modules of tests do at their end.
    A test that comes next and looks for finalizers of its own, as that of `Finalize`
    does, would take it for one of these.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with receiver, sender:
        sender.send(None)
        receiver.recv()


# Threads cannot be forced to quit, so this test of CPython 3.11 waits 100 s for those
# whose first task has started early enough, by chance; later versions sleep for 1 s.
_BY_CHANCE = ".WithThreadsTestPool.test_terminate"


def _waits_by_chance(test: str) -> bool:
    return sys.version_info < (3, 12) and test.endswith(_BY_CHANCE)


def each_test(suite: Any) -> Iterator[unittest.TestCase]:
    """Return the tests in suites of suites."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each_test(test)
        else:
            yield test


def chosen(order: Any) -> list[unittest.TestCase]:
    """Return the tests that an order asks for."""
    found: list[unittest.TestCase] = []
    for name in order.modules:
        module = importlib.import_module(name)
        loaded = unittest.defaultTestLoader.loadTestsFromModule(module)
        found += [
            test
            for test in each_test(loaded)
            if is_chosen(test.id(), order) and not _waits_by_chance(test.id())
        ]
    return shuffled(found, _names, order.seed)


def _names(test: unittest.TestCase) -> tuple[str, str, str]:
    return type(test).__module__, type(test).__qualname__, test.id()


def set_up_as_libregrtest() -> Any:
    """Prepare the process as CPython's runner does; returns `test.support`."""
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
    return support


def main() -> None:
    """Run the tests of an order."""
    order = read_order(sys.argv[1])
    set_up(order)
    faulthandler.enable(all_threads=True)
    support = set_up_as_libregrtest()
    Result.report = Report(order.report)
    Result.every_message = order.every_message and order.threshold is not None
    tests = chosen(order)
    runner = unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=Result)
    runner.run(unittest.TestSuite(tests))
    event = "failed" if support.environment_altered else "passed"
    detail = "see the log: dangling processes, threads or unraisable exceptions"
    Result.report.write(ENVIRONMENT, event, detail)
    Result.report.write("", "end")


if __name__ == "__main__":
    main()
