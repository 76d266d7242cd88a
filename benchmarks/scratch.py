"""Scratch: directories in RAM and on a disk that are gone afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


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
    prefix = "sharray-benchmark-"
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir="/dev/shm") as in_ram,
        tempfile.TemporaryDirectory(prefix=prefix, dir=disk) as on_disk,
    ):
        # The library's own files in RAM too, apart from the user's. Their paths
        # get longer by that, and so do the handles.
        before = os.environ.get("SHARRAY_RAM_DIR")
        os.environ["SHARRAY_RAM_DIR"] = in_ram
        try:
            yield Scratch(Path(in_ram), Path(on_disk))
        finally:
            del os.environ["SHARRAY_RAM_DIR"]
            if before is not None:
                os.environ["SHARRAY_RAM_DIR"] = before
