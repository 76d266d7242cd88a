"""``sharray verify``: the command and its table."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ....notebook.text import printable
from ... import describing
from ...completion import complete_name
from ...output import Column, Json, print_json, print_table
from ...output import print_text as say
from ...problem import ProblemError
from .checks import DAMAGED, GOOD, WARNING, Check, check_file

EXAMPLES = """
Examples:
  sharray verify field.npy
  sharray verify --json data/*.npy | jq -r '.[] | select(.verdict != "good").name'
"""

_COLUMNS = (Column("CHECK"), Column("VERDICT"), Column("FOUND", least=20))
_VERDICTS = (GOOD, WARNING, DAMAGED)  # the worst last


def verify(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Files, or names in RAM.",
            autocompletion=complete_name,
        ),
    ],
    json: Json = False,
) -> None:
    """Check files for damage.

    It checks header and size, failed flushes, space on the disk and permissions. It
    cannot tell whether the values are correct. The exit status is 1 if a file is
    damaged or cannot be read, and 0 if there are only warnings.
    """
    found = {name: _check(name) for name in names}
    if json:
        print_json([_document(name, checks) for name, checks in found.items()])
    else:
        for number, (name, checks) in enumerate(found.items()):
            _print(name, checks, first=number == 0)
    if any(_worst(checks) == DAMAGED for checks in found.values()):
        raise typer.Exit(1)


def _check(name: str) -> list[Check]:
    try:
        return list(check_file(describing.locate(name)))
    except ProblemError as error:
        return [Check("file", DAMAGED, str(error))]


def _worst(checks: list[Check]) -> str:
    return max((check.verdict for check in checks), key=_VERDICTS.index)


def _document(name: str, checks: list[Check]) -> dict[str, Any]:
    return {
        "name": name,
        "verdict": _worst(checks),
        "checks": [check._asdict() for check in checks],
    }


def _print(name: str, checks: list[Check], *, first: bool) -> None:
    say(*([] if first else [""]), printable(name))
    print_table(_COLUMNS, [(one.name, one.verdict, one.detail) for one in checks])
    say(f"{_worst(checks).capitalize()}. {_advice(checks)}".rstrip())


def _advice(checks: list[Check]) -> str:
    """Return the advice of all checks, about the worst problem first."""
    worst_first = sorted(checks, key=lambda one: -_VERDICTS.index(one.verdict))
    advice = dict.fromkeys(check.advice for check in worst_first if check.advice)
    return f"To do: {'; '.join(advice)}." if advice else ""
