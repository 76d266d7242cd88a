"""The faults of sharray, told from tests that fail or take long by themselves.

A test is worse with sharray if it

- fails, hangs or kills its process, and does not do so without;
- is skipped, and is not without;
- takes more than `SLOWER` times as long as without, where less than `COUNTS_FROM`
  seconds without count as so many. Only ``--times`` looks at that: on a machine that
  does something else as well, any test may take twice as long.

It has to be so each time of `ROUNDS`, by itself or after the same tests as before.
Of each side the shortest time counts. What fails once without sharray is no fault of
sharray.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from .suite import END, ENVIRONMENT, Record, Records

SLOWER = 2.0
# A worker that starts imports NumPy, 0.04 to 0.2 s: tests that start many of them and
# do nothing else would say only that. With 1 s, three of loky's were too slow.
COUNTS_FROM = 2.0
ROUNDS = 3

# Runs tests, all if None, without sharray (False) or with it.
Run = Callable[[bool, Collection[str] | None], Records]


@dataclass(frozen=True)
class Difference:
    """A test that was worse with sharray at first."""

    test: str
    record: Record
    is_real: bool
    reason: str


def differences(first: Records, run: Run) -> list[Difference]:
    """Return the tests that were worse, after they have run again.

    Parameters
    ----------
    first : dict
        Outcomes of all tests with sharray.
    run : callable
        See `Run`.
    """
    suspects = {test for test, record in first.items() if _may_be_worse(record)}
    plain = run(False, _tests(suspects)) if suspects else {}
    worse = _worse(suspects, first, plain)
    always = _worse_by_themselves(worse, first, plain, run)
    always |= _worse_in_this_order(worse.keys() - always, run)
    return [
        Difference(test, first[test], test in always, reason)
        for test, reason in worse.items()
    ]


def reason_of(record: Record, plain: Record) -> str:
    """Return how a test is worse than it is without sharray; empty if it is not."""
    if not plain.is_good:
        return ""
    if not record.is_good or (record.outcome, plain.outcome) == ("skipped", "passed"):
        return record.outcome
    if record.seconds > SLOWER * max(plain.seconds, COUNTS_FROM):
        return f"took {record.seconds:.1f} s, without sharray {plain.seconds:.1f} s"
    return ""


def _may_be_worse(record: Record) -> bool:
    return record.outcome != "passed" or bool(reason_of(record, Record("passed")))


def _worse(
    tests: Collection[str], installed: Records, plain: Records
) -> dict[str, str]:
    """Return those of the tests that are worse, and how."""
    nothing = Record("passed")
    found = {
        test: reason_of(installed.get(test, nothing), plain.get(test, nothing))
        for test in tests
    }
    return {test: reason for test, reason in sorted(found.items()) if reason}


def _worse_by_themselves(
    worse: Collection[str], first: Records, plain: Records, run: Run
) -> set[str]:
    """Return the tests that are worse each time without those before them."""
    left = _tests(worse)
    installed = dict(first)
    plain = dict(plain)
    for _ in range(ROUNDS - 1):
        if not left:
            break
        for test, record in run(True, left).items():
            installed[test] = _better(record, installed.get(test, record))
        for test, record in run(False, left).items():
            plain[test] = _worst(record, plain.get(test, record))
        left = set(_worse(left, installed, plain))
    return left


def _worse_in_this_order(worse: Collection[str], run: Run) -> set[str]:
    """Return the tests that are worse again after those before them."""
    if not worse:
        return set()
    again = run(True, None)
    if not _worse(worse, again, {}):
        return set()
    return set(_worse(worse, again, run(False, None)))


def _tests(names: Collection[str]) -> set[str]:
    return set(names) - {END, ENVIRONMENT}


def _better(one: Record, other: Record) -> Record:
    """Return the better outcome, and in the shorter time."""
    return min(one, other, key=lambda r: (not r.is_good, r.outcome, r.seconds))


def _worst(one: Record, other: Record) -> Record:
    return min(one, other, key=lambda r: (r.is_good, r.seconds))
