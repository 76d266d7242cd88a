"""Directories of one user: create, check and remove them."""

from __future__ import annotations

import contextlib
import os
import stat


def make_private_directory(path: str) -> None:
    """Create a directory with mode 0700, unless it exists: mkdir(2)."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)


def remove_directory_if_empty(path: str) -> bool:
    """Remove a directory; return False if it is missing or not empty: rmdir(2)."""
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def private_directory_fault(path: str) -> str | None:
    """Return why a directory is not private to this user; None if it is."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        return "it is a symbolic link or a file, not a directory"
    if found.st_uid != os.getuid():
        return f"it belongs to user {found.st_uid}, not to {os.getuid()}"
    if found.st_mode & 0o022:
        return f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o})"
    return None
