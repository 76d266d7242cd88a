"""``sharray rm``: removing arrays by name."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from fnmatch import translate
from typing import Annotated, Any, NamedTuple

import typer

import sharray as sh

from .. import describing
from ..completion import complete_name
from ..output import Json, escape, print_json, size
from ..output import print_text as say
from ..problem import ProblemError, one_line

EXAMPLES = """
Examples:
  sharray rm shm://run7/velocity
  sharray rm 'shm://run7/*'          show what would be removed
  sharray rm --yes 'shm://run7/*'    remove it
"""

_RAM = "shm://"
_MAGIC = re.compile(r"[*?[]")


class _Removal(NamedTuple):
    """One array, and why it stays if it does."""

    name: str
    nbytes: int
    refusal: str | None


def rm(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="Files, names in RAM, or quoted patterns such as 'shm://run7/*'.",
            autocompletion=complete_name,
        ),
    ],
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Remove what a pattern matches, too."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be removed.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", "-f", help="Also what processes hold, or may; they keep it."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Remove arrays by name or pattern.

    What a pattern matches is only shown, unless --yes is given. What a process holds,
    or may hold, is not removed, unless forced; what is no array file, never.
    """
    patterns = [name for name in names if _is_pattern(name)]
    dry_run = dry_run or (bool(patterns) and not yes)
    targets = list(_expand(names))  # before anything is removed, as it may fail
    inspected = zip(targets, describing.inspect_all(targets), strict=True)
    removals = [_remove(name, found, dry_run, force) for name, found in inspected]
    removed = [one for one in removals if one.refusal is None]
    if json:
        print_json({"dry_run": dry_run, "arrays": [_document(one) for one in removals]})
    else:
        tell([(one.name, one.nbytes) for one in removed], dry_run)
        if dry_run and removed and patterns and not yes:
            say("Nothing was removed. To remove them, add --yes.")
    refusals = [one.refusal for one in removals if one.refusal is not None]
    for refusal in refusals:
        typer.echo(one_line(refusal), err=True)
    if refusals:
        raise typer.Exit(1)


def tell(found: list[tuple[str, int]], dry_run: bool) -> None:
    """Print what was removed, or would be."""
    done = "would remove" if dry_run else "removed"
    for name, nbytes in found:
        say(f"{done} {escape(name)} ({size(nbytes)})")
    if len(found) > 1:
        total = size(sum(nbytes for _, nbytes in found))
        say(f"{len(found)} arrays, {total}")


def _document(removal: _Removal) -> dict[str, Any]:
    return {
        "name": removal.name,
        "nbytes": removal.nbytes,
        "refused": removal.refusal,
    }


def _is_pattern(name: str) -> bool:
    if not _MAGIC.search(name):
        return False
    # It may also be the very name of an array.
    return not (_is_array(name) if name.startswith(_RAM) else os.path.lexists(name))


def _expand(names: list[str]) -> Iterator[str]:
    for name in names:
        if not _is_pattern(name):
            yield name
            continue
        found = _match_in_ram(name) if name.startswith(_RAM) else _match_files(name)
        if not found:
            raise ProblemError(f"no array matches {name!r}; see sharray ls")
        yield from found


def _match_in_ram(pattern: str) -> list[str]:
    """Names that a pattern matches as in a shell: ``*`` stops at slashes and dots."""
    parts = pattern.split("/")
    return [
        found.name
        for found in sh.list()
        if not describing.is_anonymous_name(found.name)
        and len(found.name.split("/")) == len(parts)
        and all(
            re.match(translate(part), text)
            for part, text in zip(parts, found.name.split("/"), strict=True)
        )
    ]


def _match_files(pattern: str) -> list[str]:
    paths = sorted(glob.glob(pattern))
    inspected = zip(paths, describing.inspect_all(paths), strict=True)
    return [path for path, found in inspected if isinstance(found, sh.Inspection)]


def _is_array(path: str) -> bool:
    try:
        sh.inspect(path)
    except sh.SharrayError:
        return False
    return True


def _remove(
    name: str, found: sh.Inspection | Exception, dry_run: bool, force: bool
) -> _Removal:
    nbytes = 0
    try:
        if isinstance(found, Exception):
            raise found
        nbytes = found.allocated or 0
        unknown = found.in_use is None
        if describing.is_anonymous_name(found.name) and not (unknown and force):
            raise ProblemError(
                f"{name!r} is anonymous, and ends with its last holder; sharray gc "
                "removes those that nobody holds"
                + (
                    "; it cannot tell here, as there are no locks: if nobody does, use "
                    "--force"
                    if unknown
                    else ""
                )
            )
        if unknown and not force:
            raise ProblemError(
                f"cannot tell whether a process holds {name!r}: its file system has "
                "no locks; if none does, use --force"
            )
        if found.in_use and not force:
            holders = describing.holders(found, short=True)
            raise ProblemError(
                f"{name!r} is held by {holders}; end them, or use --force, which "
                "removes the name and leaves them the array"
            )
        if not dry_run:
            sh.unlink(describing.locate(name))
    except (ProblemError, sh.SharrayError) as error:
        return _Removal(name, nbytes, str(error))
    return _Removal(name, nbytes, None)
