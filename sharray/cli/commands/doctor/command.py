"""``sharray doctor``: run the checks, and print their findings."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from ....notebook.text import printable
from ... import output
from ...ending import ended_by_signals
from . import Finding, Verdict
from .directory import check_directory
from .ram import check_ram
from .resources import check_resources
from .trial import check_trial
from .versions import check_versions

EXAMPLES = """
Examples:
  sharray doctor                  check this machine
  sharray doctor /scratch/me      check this directory, too
  sharray doctor --json --strict  check before a job starts
"""

_STYLES = dict(zip(Verdict, ("green", "cyan", "yellow", "bold red"), strict=True))
_INDENT = " " * 27


def doctor(
    directory: Annotated[
        str | None,
        typer.Argument(metavar="[DIRECTORY]", help="Also check this directory."),
    ] = None,
    as_json: output.Json = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 for warnings, too.")
    ] = False,
) -> None:
    """Check versions, memory, limits and file systems, and try to share an array.

    It prints commands that make improvements, and changes nothing itself. Each check
    ends with a verdict: ok, note (worth knowing), warning (will hinder larger work) or
    fault (something does not work). The exit status is 1 if there is a fault, or with
    --strict a warning, and 0 otherwise.
    """
    with ended_by_signals():
        sections = run_checks(directory)
    findings = [finding for found in sections.values() for finding in found]
    verdicts = [finding.verdict for finding in findings]
    worst = max(verdicts)
    if as_json:
        checks = [asdict(each) | {"verdict": each.verdict.label} for each in findings]
        output.print_json({"verdict": worst.label, "checks": checks})
    else:
        screen = output.console()
        for title, found in sections.items():
            lines = [Text(printable(title), "bold"), *map(_lines, found)]
            screen.print(*lines, "", sep="\n", soft_wrap=True)
        told = (f"{verdicts.count(each)} {each.label}" for each in sorted({*verdicts}))
        output.print_text(f"{len(findings)} checks: {', '.join(told)}.")
    if worst >= (Verdict.WARNING if strict else Verdict.FAULT):
        raise typer.Exit(1)


def run_checks(directory: str | None) -> dict[str, list[Finding]]:
    """Return the findings by section."""
    # First, since it raises if the directory does not exist.
    there = {} if directory is None else {f"In {directory}": check_directory(directory)}
    return {
        "Versions": check_versions(),
        "Arrays in RAM": [*check_ram(), check_trial("trial")],
        "Memory and limits": check_resources(),
    } | there


def _lines(finding: Finding) -> Text:
    """Return a finding as lines, broken only in a terminal; commands never are."""
    screen, verdict = output.console(), finding.verdict
    told = [finding.found] if verdict is Verdict.OK else [finding.found, finding.why]
    lines = textwrap.fill(
        printable(" ".join(told)),
        max(60, screen.width) if screen.is_terminal else sys.maxsize,
        initial_indent=f" {verdict.label:<8} {finding.name}".ljust(len(_INDENT)),
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    shown = Text(lines)
    shown.stylize(_STYLES[verdict], 0, len(" warning "))
    for command in finding.commands:
        shown.append(f"\n{_INDENT}  {printable(command)}", "bold")
    return shown
