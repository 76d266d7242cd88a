"""What one check says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """How bad it is.

    A note is something to know, or to gain; a warning will be in the way of larger
    work; with a fault, something does not work.
    """

    OK = 0
    NOTE = 1
    WARNING = 2
    FAULT = 3


@dataclass(frozen=True)
class Finding:
    """A check, what it has found, why that matters, and what to do about it."""

    name: str
    verdict: Verdict
    found: str
    why: str
    commands: tuple[str, ...] = ()


def worst(findings: Iterable[Finding]) -> Verdict:
    """The verdict on all of them together."""
    return max((finding.verdict for finding in findings), default=Verdict.OK)


def count(number: int, what: str) -> str:
    """A number of things, with its plural.

    Examples
    --------
    >>> count(1, "file"), count(2, "file")
    ('1 file', '2 files')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
