"""What dead processes have left: files and locks."""

from __future__ import annotations

import os


def arrays_below(directory: str) -> dict[str, str]:
    """Every file in a directory tree, hidden ones as well, as `locked_files` has it."""
    found = {}
    for top, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(top, name)
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue  # removed meanwhile
            device = status.st_dev
            found[path] = (
                f"{os.major(device):02x}:{os.minor(device):02x}:{status.st_ino}"
            )
    return found


def locked_files() -> set[str]:
    """Device and inode of all files on which any process has a lock: proc(5).

    The inode alone would be that of many a file elsewhere that another program locks.
    """
    with open("/proc/locks", encoding="ascii") as table:
        # 1: FLOCK  ADVISORY  READ 7317 00:1a:1182 0 EOF
        lines = [line.replace("->", "").split() for line in table]
    return {fields[5] for fields in lines}
