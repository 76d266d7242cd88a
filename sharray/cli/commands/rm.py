"""``sharray rm``: remove arrays by name."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from fnmatch import translate
from typing import Annotated, Any, NamedTuple

import typer

import sharray as sh

from ...notebook.text import printable
from ...storage.inspection import result
from .. import describing
from ..completion import complete_name
from ..output import Json, print_json, size
from ..output import print_text as say
from ..problem import ProblemError, one_line

EXAMPLES = """
Examples:
  sharray rm shm://run7/velocity
  sharray rm 'shm://run7/*'          list the arrays that match
  sharray rm --yes 'shm://run7/*'    remove them
"""

_RAM = "shm://"
_MAGIC = re.compile(r"[*?[]")


class _Removal(NamedTuple):
    """One array, and the reason if it was not removed."""

    name: str
    nbytes: int
    refusal: str | None


def rm(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="A file, a name in RAM, or a quoted pattern such as 'shm://run7/*'.",
            autocompletion=complete_name,
        ),
    ],
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Remove the arrays that match a pattern."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the arrays, remove nothing.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", "-f", help="Remove arrays in use, too; their holders keep them."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Remove arrays by name or pattern.

    With a pattern, the command only lists the arrays that match, unless you add --yes.
    It refuses an array that a process holds, or may hold, unless you add --force. It
    never removes a file that is not an array.
    """
    patterns = [name for name in names if _is_pattern(name)]
    dry_run = dry_run or (bool(patterns) and not yes)
    targets = list(_expand(names))  # may fail: before any removal
    inspected = zip(targets, describing.inspect_all(targets), strict=True)
    removals = [_remove(name, found, dry_run, force) for name, found in inspected]
    removed = [one for one in removals if one.refusal is None]
    if json:
        print_json({"dry_run": dry_run, "arrays": [_document(one) for one in removals]})
    else:
        tell([(one.name, one.nbytes) for one in removed], dry_run)
        if dry_run and removed and patterns and not yes:
            say("Nothing was removed. To remove these arrays, add --yes.")
    refusals = [one.refusal for one in removals if one.refusal is not None]
    for refusal in refusals:
        typer.echo(one_line(refusal), err=True)
    if refusals:
        raise typer.Exit(1)


def tell(found: list[tuple[str, int]], dry_run: bool) -> None:
    """Print the arrays that were removed, or would be."""
    done = "would remove" if dry_run else "removed"
    for name, nbytes in found:
        say(f"{done} {printable(name)} ({size(nbytes)})")
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
    # The text may also be the exact name of an array.
    return not (_is_array(name) if name.startswith(_RAM) else os.path.lexists(name))


def _expand(names: list[str]) -> Iterator[str]:
    for name in names:
        if not _is_pattern(name):
            yield name
            continue
        found = _match_in_ram(name) if name.startswith(_RAM) else _match_files(name)
        if not found:
            raise ProblemError(
                f"no array matches {name!r}; run 'sharray ls' for the names"
            )
        yield from found


def _match_in_ram(pattern: str) -> list[str]:
    """Return the names that match a shell pattern: ``*`` matches no slash."""
    parts = pattern.split("/")
    return [
        found.name
        for found in sh.list()
        if not result.is_anonymous_name(found.name)
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
        if result.is_anonymous_name(found.name) and not (unknown and force):
            raise ProblemError(
                f"{name!r} is anonymous, and goes away with its last holder; to remove "
                "leftovers of killed processes, run 'sharray gc'"
                + (
                    ", which cannot tell here, because the file system has no locks; "
                    "if no process holds this array, add --force"
                    if unknown
                    else ""
                )
            )
        if unknown and not force:
            raise ProblemError(
                f"cannot tell whether a process holds {name!r}, because its file "
                "system has no locks; if none does, add --force"
            )
        if found.in_use and not force:
            holders = describing.holders(found, short=True)
            raise ProblemError(
                f"{name!r} is held by {holders}; end these processes, or add --force: "
                "it removes the name, and they keep the array"
            )
        if not dry_run:
            sh.unlink(describing.locate(name))
    except (ProblemError, sh.SharrayError) as error:
        return _Removal(name, nbytes, str(error))
    return _Removal(name, nbytes, None)
