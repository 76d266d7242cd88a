"""What dead processes have left: files and locks."""

from __future__ import annotations

import os


def arrays_below(directory: str) -> dict[str, int]:
    """Every file in a directory tree, hidden ones as well, with its inode."""
    found = {}
    for top, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(top, name)
            try:
                found[path] = os.lstat(path).st_ino
            except FileNotFoundError:
                continue  # removed meanwhile
    return found


def locked_inodes() -> set[int]:
    """The inodes of all files on which any process has a lock: proc(5)."""
    with open("/proc/locks", encoding="ascii") as table:
        # 1: FLOCK  ADVISORY  READ 7317 00:1a:1182 0 EOF
        lines = [line.replace("->", "").split() for line in table]
    return {int(fields[5].rpartition(":")[2]) for fields in lines}
