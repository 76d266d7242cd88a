"""What is printed: sections for people, or one JSON document."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ... import output
from ...output import console, escape
from .finding import Finding, Verdict, count, worst

Sections = dict[str, list[Finding]]

_STYLES = {
    Verdict.OK: "green",
    Verdict.NOTE: "cyan",
    Verdict.WARNING: "yellow",
    Verdict.FAULT: "bold red",
}
_INDENT = 29
_UNLIMITED = 10**6


def print_sections(sections: Sections) -> None:
    """Print what was found, why it matters where something is to do, and the commands.

    Colours only in a terminal; commands are never broken into lines.
    """
    screen = console()
    for title, findings in sections.items():
        screen.print(Text(escape(title), style="bold"), soft_wrap=True)
        for finding in findings:
            _print_finding(screen, finding)
        screen.print()
    screen.print(summary(sections), soft_wrap=True)


def _print_finding(screen: Console, finding: Finding) -> None:
    verdict = Text(f" {finding.verdict.name.lower():<9}")
    verdict.stylize(_STYLES[finding.verdict])
    text = Text(escape(finding.found))
    if finding.verdict is not Verdict.OK:
        text.append("\n")
        text.append(finding.why, style="dim")
    room = screen.width - _INDENT if screen.is_terminal else _UNLIMITED
    lines = text.wrap(screen, max(20, room))
    for number, line in enumerate(lines):
        head = verdict + Text(f"{finding.name:<18} ")
        screen.print(
            head if number == 0 else " " * _INDENT, line, sep="", soft_wrap=True
        )
    for command in finding.commands:
        line = Text(" " * _INDENT + "  " + escape(command), style="bold")
        screen.print(line, soft_wrap=True)


def summary(sections: Sections) -> str:
    """The verdict in one line."""
    findings = [finding for found in sections.values() for finding in found]
    numbers = {
        verdict: sum(finding.verdict is verdict for finding in findings)
        for verdict in reversed(Verdict)
    }
    said = [
        count(number, verdict.name.lower())
        for verdict, number in numbers.items()
        if number and verdict is not Verdict.OK
    ]
    if not said:
        return f"All {count(len(findings), 'check')} are well."
    what = "is" if len(said) == 1 and said[0].startswith("1 ") else "are"
    return f"Of {count(len(findings), 'check')}, there {what} {', '.join(said)}."


def print_json(sections: Sections) -> None:
    """Print one document."""
    findings = [finding for found in sections.values() for finding in found]
    document = {
        "verdict": worst(findings).name.lower(),
        "checks": [
            {
                "name": finding.name,
                "verdict": finding.verdict.name.lower(),
                "found": finding.found,
                "why": finding.why,
                "commands": list(finding.commands),
            }
            for finding in findings
        ],
    }
    output.print_json(document)
