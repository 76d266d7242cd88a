"""The command line that most peers' programs share."""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from .comparing import Difference, differences
from .running import Runner, say, stopping
from .suite import Records, Suite

# Makes the suites: all that there are, or those for CI. May use a directory.
Find = Callable[[bool, Path], list[Suite]]

WORSE = "WORSE WITH SHARRAY"


def _parse(arguments: list[str] | None, title: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument(
        "suites", nargs="*", help="names of suites; those for CI if there are none"
    )
    parser.add_argument("--all", action="store_true", help="run all suites")
    parser.add_argument(
        "--plain", action="store_true", help="run without sharray only, to compare"
    )
    parser.add_argument(
        "--threshold", type=int, default=0, help="bytes; 0 for all messages"
    )
    parser.add_argument(
        "-k", dest="pattern", default="", help="run tests whose id contains this"
    )
    parser.add_argument(
        "--seed", type=int, help="of the order of tests; else another each time"
    )
    parser.add_argument(
        "--times", action="store_true", help="compare times too: an idle machine"
    )
    parser.add_argument("--logs", type=Path, help="keep the output of tests here")
    return parser.parse_args(arguments)


def main(title: str, find: Find, arguments: list[str] | None = None) -> int:
    """Run what the command line says; returns the exit status."""
    # As an exception, so that what was started is ended and removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = _parse(arguments, title)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    say(f"tests in random order have the seed {seed}")
    with ExitStack() as stack:
        work = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="sharray-peers-"))
        )
        logs = options.logs or work
        logs.mkdir(parents=True, exist_ok=True)
        pattern = f"*{options.pattern}*"
        runner = Runner(logs.resolve(), seed, pattern, options.times)
        suites = _named(find(options.all or bool(options.suites), work), options.suites)
        threshold = None if options.plain else options.threshold
        outcomes = _run_all(suites, runner, threshold)
    passed = sum(passed for passed, _ in outcomes)
    real = [test for _, found in outcomes for test in found]
    for test in real:
        say(f"{WORSE}: {test}")
    say(f"{passed} passed, {len(real)} failed")
    return 0 if passed and not real else 1


def _run_all(
    suites: list[Suite], runner: Runner, threshold: int | None
) -> list[tuple[int, list[str]]]:
    """Run suites, as many at a time as there are cores: most tests wait."""
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        running = [
            executor.submit(run_and_compare, suite, runner, threshold)
            for suite in suites
        ]
        try:
            return [future.result() for future in running]
        except BaseException:  # Ctrl-C, SIGTERM
            stopping.set()
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _named(suites: list[Suite], names: Collection[str]) -> list[Suite]:
    known = [suite.name for suite in suites]
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"expected names of suites, {', '.join(known)}; got {unknown}")
    return [suite for suite in suites if not names or suite.name in names]


def run_and_compare(
    suite: Suite, runner: Runner, threshold: int | None
) -> tuple[int, list[str]]:
    """Run a suite, print what is found.

    Returns
    -------
    int
        How many tests have passed.
    list of str
        The tests that are worse with sharray, with the suite's name.
    """

    def run(installed: bool, only: Collection[str] | None) -> Records:
        return runner.run(suite, threshold if installed else None, only)

    found = runner.run(suite, threshold)
    differing = [] if threshold is None else differences(found, run)
    for difference in differing:
        say(_described(suite, difference))
    real = [d.test for d in differing if d.is_real]
    counts = collections.Counter(record.outcome for record in found.values())
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    say(f"{suite.name}, installed: {said}")
    passed = [test for test, r in found.items() if r.outcome == "passed"]
    return len(set(passed) - set(real)), [f"{suite.name}: {test}" for test in real]


def _described(suite: Suite, difference: Difference) -> str:
    what = WORSE if difference.is_real else "worse, but not each time"
    said = f"{what}: {suite.name}: {difference.test}: {difference.reason}"
    return "\n".join(filter(None, [said, difference.record.detail]))
