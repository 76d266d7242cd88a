"""Control groups with a limit on memory, which only root can make."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Of version 2 and version 1: the root of the tree, and the name of the limit.
_TREES = (
    ("/sys/fs/cgroup", "memory.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
)


@contextmanager
def limited(nbytes: int) -> Iterator[Path | None]:
    """Make a control group, and remove it when its processes have ended.

    Parameters
    ----------
    nbytes : int
        Its limit on memory, the cache of files included.

    Yields
    ------
    Path or None
        Its directory, for `join`; None where none can be made.
    """
    group = _make(nbytes)
    try:
        yield group
    finally:
        if group is not None:
            group.rmdir()


def _make(nbytes: int) -> Path | None:
    for tree, limit in _TREES:
        group = Path(tree, f"sharray-benchmark-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        # A directory elsewhere would take any file.
        with suppress(OSError):
            if (group / limit).exists():
                (group / limit).write_text(str(nbytes))
                return group
        group.rmdir()
    return None


def join(group: Path, *pids: int) -> None:
    """Move processes into a group; memory that they have stays with the old one."""
    for pid in pids:
        (group / "cgroup.procs").write_text(str(pid))
