"""Run CPython's tests of multiprocessing and concurrent.futures, plain and installed.

A program: ``python -m tests.cpython.run --help`` from the project's directory, or
``python tests/cpython/run.py --help`` from anywhere. Its exit status is 0 if nothing
fails, dies or hangs with sharray installed that does not do so without.

With a threshold of 0, the default, each message goes through shared memory.
"""

from __future__ import annotations

import argparse
import collections
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

if __name__ == "__main__":
    # Started as a file or from the project's directory, this is of no package, or of
    # another than for the tests.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cpython import running, suites
from cpython.comparing import Difference, differences
from cpython.running import Mode, Records

_WIDTH = 12


class Session:
    """Runs modules of tests, and remembers which there are.

    Parameters
    ----------
    chosen : iterable of str
        Of `suites.NAMES`.
    directory : Path
        Where modules that are lacking are made.
    logs : Path
        Where the output of tests goes.
    patterns : tuple of str
        Of the tests to run; `fnmatch`.
    """

    def __init__(
        self,
        chosen: Iterable[str],
        directory: Path,
        logs: Path,
        patterns: tuple[str, ...] = ("*",),
    ) -> None:
        self._patterns = patterns
        self._directory = directory
        self._logs = logs
        self.modules: dict[str, suites.Module] = {}
        self.said = []
        for suite in chosen:
            modules, said = suites.find(suite, directory)
            self.said += [said] if said else []
            for module in modules:
                self.modules[f"{suite}/{module.name}"] = module

    def run(self, name: str, mode: Mode, note: str = "") -> Records:
        """Run one module; the keys are unique among all."""
        log = self._logs / f"{name.replace('/', '-')}.{mode.name}{note}.log"
        start = time.monotonic()
        found = running.run(
            self.modules[name], mode, self._directory, log, patterns=self._patterns
        )
        seconds = time.monotonic() - start
        bad = sum(not record.is_good for record in found.values())
        print(
            f"{name} ({mode.name}{note}): {len(found)} tests, {bad} failed, "
            f"{seconds:.0f} s",
            flush=True,
        )
        return {f"{name}: {test}": record for test, record in found.items()}

    def run_again(self, mode: Mode, tests: list[str]) -> Records:
        """Run the modules of these tests once more; see `comparing.RunAgain`."""
        found: Records = {}
        for name in dict.fromkeys(test.partition(": ")[0] for test in tests):
            found |= self.run(name, mode, ", again")
        return found

    def compare(
        self, mode: Mode, installed: Records, plain: Records
    ) -> list[Difference]:
        """What fails in this mode, and whether it does so plain."""
        return differences(
            installed,
            plain,
            lambda tests: self.run_again(mode, tests),
            lambda tests: self.run_again(running.PLAIN, tests),
        )


def real(found: list[Difference]) -> list[str]:
    """What somebody has to look at, as text."""
    return [
        f"{d.test} {d.record.outcome}\n{d.record.detail}"
        for d in found
        if d.verdict == "REAL"
    ]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run CPython's tests of multiprocessing and concurrent.futures, "
        "without sharray and with it installed, and compare."
    )
    parser.add_argument(
        "--suite",
        choices=[*suites.NAMES, "all"],
        default="all",
        help="which start method, or concurrent.futures",
    )
    parser.add_argument(
        "--plain", action="store_true", help="run without sharray only, to compare"
    )
    parser.add_argument(
        "--threshold", type=int, default=0, help="bytes; 0 for all messages"
    )
    parser.add_argument(
        "--default-threshold",
        action="store_true",
        help="run with the threshold of sharray.install, too",
    )
    parser.add_argument(
        "-k", dest="pattern", default="", help="run tests whose id contains this"
    )
    parser.add_argument("--json", type=Path, help="write all outcomes to this file")
    parser.add_argument("--logs", type=Path, help="keep the output of tests here")
    return parser.parse_args(arguments)


def _modes(options: argparse.Namespace) -> list[Mode]:
    modes = [running.PLAIN]
    if not options.plain:
        threshold = options.threshold
        modes.append(Mode(f"threshold {threshold}", True, threshold))
        if options.default_threshold:
            modes.append(Mode("default threshold", True))
    return modes


def _lost(installed: Records, plain: Records) -> list[str]:
    """Tests that ran plain, but did not run or were skipped installed."""
    return [
        test
        for test, record in plain.items()
        if record.outcome == "passed"
        and (test not in installed or installed[test].outcome == "skipped")
    ]


def _tell(found: dict[Mode, Records], compared: dict[Mode, list[Difference]]) -> bool:
    """Print all results; returns whether nothing fails only with sharray."""
    good = any(found.values())
    for mode, differing in compared.items():
        for d in sorted(differing, key=lambda difference: difference.verdict):
            print(f"\n{mode.name}: {d.verdict}: {d.test} {d.record.outcome}")
            print(d.record.detail)
        lost = _lost(found[mode], found[running.PLAIN])
        for test in lost:
            print(f"{mode.name}: NOT RUN, but plain: {test}")
        good = good and not lost and not real(differing)
    _print_table(found)
    return good


def _print_table(found: dict[Mode, Records]) -> None:
    outcomes = ["passed", "skipped", "failed", "hung", "died"]
    print(f"\n{'':20}" + "".join(f"{outcome:>{_WIDTH}}" for outcome in outcomes))
    for mode, records in found.items():
        counts = collections.Counter(record.outcome for record in records.values())
        numbers = "".join(f"{counts[outcome]:>{_WIDTH}}" for outcome in outcomes)
        print(f"{mode.name:20}{numbers}")


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line says; returns the exit status."""
    options = _parse(arguments)
    chosen = suites.NAMES if options.suite == "all" else (options.suite,)
    patterns = (f"*{options.pattern}*", f"{suites.PROBE}.*")
    with tempfile.TemporaryDirectory(prefix="sharray-cpython-") as directory:
        logs = options.logs or Path(directory)
        logs.mkdir(parents=True, exist_ok=True)
        session = Session(chosen, Path(directory), logs, patterns)
        for said in session.said:
            print(f"*** {said} ***", flush=True)
        found: dict[Mode, Records] = {mode: {} for mode in _modes(options)}
        for name in session.modules:
            for mode in found:
                found[mode] |= session.run(name, mode)
        plain = found[running.PLAIN]
        compared = {
            mode: session.compare(mode, records, plain)
            for mode, records in found.items()
            if mode.install
        }
    if options.json:
        written = {
            mode.name: {test: [r.outcome, r.detail] for test, r in records.items()}
            for mode, records in found.items()
        }
        options.json.write_text(json.dumps(written, indent=1))
    good = _tell(found, compared)
    for said in session.said:
        print(f"*** {said} ***")
    return 0 if good else 1


if __name__ == "__main__":
    # As an exception, so that what was started is ended and removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
