"""Directories of one user: making, checking and removing them."""

from __future__ import annotations

import contextlib
import os
import stat


def make_private_directory(path: str) -> None:
    """mkdir(2) with 0700; no complaint if it is there already."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)


def remove_directory_if_empty(path: str) -> bool:
    """rmdir(2); False if it is not there or not empty."""
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def private_directory_fault(path: str) -> str | None:
    """Why a directory is not ours alone, None if it is."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        return "it is a symbolic link or a file, not a directory"
    if found.st_uid != os.getuid():
        return f"it belongs to user {found.st_uid}, not to {os.getuid()}"
    if found.st_mode & 0o022:
        return f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o})"
    return None
