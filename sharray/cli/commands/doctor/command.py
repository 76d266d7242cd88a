"""``sharray doctor``: what may keep sharray from working here, and what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from ...output import Json
from . import facts, place, trial
from .finding import Finding, Verdict, worst
from .memory import check_memory
from .quotas import check_quotas
from .ram import check_ram
from .report import Sections, print_json, print_sections
from .software import check_software

EXAMPLES = """
Examples:
  sharray doctor                  what is in the way, and what to do about it
  sharray doctor /scratch/me      this directory, too
  sharray doctor --json --strict  in a job, before it starts
"""


def doctor(
    directory: Annotated[
        str | None,
        typer.Argument(
            metavar="[DIRECTORY]",
            help="Look at a directory in which arrays are to be on a disk, too.",
        ),
    ] = None,
    as_json: Json = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 for warnings, too.")
    ] = False,
) -> None:
    """Check this machine: memory, limits, file systems, and a trial of sharing.

    For what should change, commands to copy are printed; nothing is changed here.
    Each check ends as ok, note (something to know, or to gain), warning (it will be in
    the way of larger work) or fault (something does not work). The exit status is 1 if
    there is a fault, or a warning with --strict, and 0 otherwise.
    """
    with trial.ends_tidily():
        sections = _examine(directory)
    if as_json:
        print_json(sections)
    else:
        print_sections(sections)
    found = worst(finding for findings in sections.values() for finding in findings)
    if found >= (Verdict.WARNING if strict else Verdict.FAULT):
        raise typer.Exit(1)


def _examine(directory: str | None) -> Sections:
    # Before anything else, so that a mistake is told at once.
    looked_at = None if directory is None else place.look_at(directory)
    host = facts.host()
    # Before the trial: whoever makes an array in RAM tidies up there.
    ram, memory = facts.ram_directory(), facts.memory()
    tried = trial.try_in_ram()
    sections = {
        "System": check_software(facts.software()),
        "Arrays in RAM": [
            *check_ram(ram, memory, host),
            *check_memory(memory, ram.file_system, host),
            _check_trial(tried),
        ],
        "Limits of processes": check_quotas(facts.quotas(), host, tried.can_see),
    }
    if looked_at is not None:
        sections[f"Arrays in {looked_at.path}"] = place.check_place(looked_at)
    return sections


def _check_trial(result: trial.Trial) -> Finding:
    name = "trial"
    if result.fault is None:
        found = f"A new process has changed an array in place ({result.seconds:.2f} s)."
        why = "It was made in RAM, sent, written there, seen here, and removed."
        return Finding(name, Verdict.OK, found, why)
    why = "Sharing arrays in RAM does not work."
    return Finding(name, Verdict.FAULT, f"{result.fault.rstrip('.')}.", why)
