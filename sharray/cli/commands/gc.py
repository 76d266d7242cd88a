"""``sharray gc``: remove arrays that no process holds any more."""

from __future__ import annotations

import os
from typing import Annotated

import typer

import sharray as sh

from ...system import files
from ..output import Json, print_json, print_text
from .rm import tell


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the arrays, remove nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove arrays that killed processes left behind.

    The command removes anonymous arrays that no process holds, and unfinished files in
    RAM. It never removes a named array.
    """
    sizes = {path: _allocated(path) for path in sh.gc(dry_run=True)}
    paths = list(sizes) if dry_run else sh.gc()
    found = [(path, sizes.get(path, 0)) for path in paths]
    if json:
        arrays = [{"path": path, "nbytes": nbytes} for path, nbytes in found]
        print_json({"dry_run": dry_run, "arrays": arrays})
        return
    tell(found, dry_run)
    if not found:
        print_text("There is nothing to remove.")


def _allocated(path: str) -> int:
    try:
        return files.allocated_bytes(os.lstat(path))
    except OSError:
        return 0
