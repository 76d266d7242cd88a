"""What fails with sharray installed only, and whether it does so each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .running import Record, Records

AGAIN = 3

# Runs the modules of some tests once more, since a test may fail only after those
# before it; arguments are the keys of `Records`.
RunAgain = Callable[[list[str]], Records]


@dataclass(frozen=True)
class Difference:
    """A test that fails installed."""

    test: str
    record: Record
    fails_always: bool
    fails_plain: bool

    @property
    def verdict(self) -> str:
        """Why it counts, or does not."""
        if self.fails_plain:
            return "fails plain, too"
        return "REAL" if self.fails_always else "flaky"


def differences(
    installed: Records, plain: Records, again: RunAgain, plain_again: RunAgain
) -> list[Difference]:
    """The tests that fail installed, each run again up to three times.

    Parameters
    ----------
    installed, plain : dict
        Of the same tests. What `plain` lacks, `plain_again` finds out.
    again, plain_again : callable
        See `RunAgain`.
    """
    failed = [test for test, record in installed.items() if not record.is_good]
    always = failed
    for _ in range(AGAIN):
        found = again(always) if always else {}
        always = [test for test in always if not _is_good(found, test)]
    unknown = [test for test in always if test not in plain]
    plain = plain | (plain_again(unknown) if unknown else {})
    return [
        Difference(test, installed[test], test in always, not _is_good(plain, test))
        for test in failed
    ]


def _is_good(found: Records, test: str) -> bool:
    """Whether nothing is known against a test; one that is gone has not failed."""
    return found.get(test, Record("passed")).is_good
