"""Scratch directories in RAM and on a disk, removed afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .errors import BenchmarkError


class Scratch(NamedTuple):
    """Where files may be created."""

    ram: Path
    disk: Path


@contextmanager
def scratch(disk: Path) -> Iterator[Scratch]:
    """Create both directories, and remove them with everything in them.

    Parameters
    ----------
    disk : Path
        Where to create the one on the disk.
    """
    with _directory(Path("/dev/shm")) as in_ram, _directory(disk) as on_disk:
        # The library's own files in RAM too, apart from the user's. Their paths
        # get longer by that, and so do the handles.
        before = os.environ.get("SHARRAY_RAM_DIR")
        os.environ["SHARRAY_RAM_DIR"] = str(in_ram)
        try:
            yield Scratch(in_ram, on_disk)
        finally:
            del os.environ["SHARRAY_RAM_DIR"]
            if before is not None:
                os.environ["SHARRAY_RAM_DIR"] = before


@contextmanager
def _directory(parent: Path) -> Iterator[Path]:
    # With the number of this process, so that one that is left can be told.
    prefix = f"sharray-benchmark-{os.getpid()}-"
    try:
        found = tempfile.mkdtemp(prefix=prefix, dir=parent)
    except OSError as error:
        raise BenchmarkError(
            f"cannot create files in {parent} ({error.strerror}): "
            "name a directory on a disk with --disk"
        ) from error
    try:
        yield Path(found)
    finally:
        try:
            shutil.rmtree(found)
        finally:
            # Once more, if the first one was interrupted.
            shutil.rmtree(found, ignore_errors=True)
