"""Remains of dead processes: files and locks."""

from __future__ import annotations

import os
import time

_PATIENCE = 30.0  # seconds, on a busy machine


def arrays_below(directory: str) -> dict[str, str]:
    """Return every file in a directory tree, with its key in `locked_files`."""
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
    """Return device and inode of all files that any process has locked: proc(5).

    With the inode alone, a locked file on another device could have the same number.
    """
    return {fields[5] for fields in _locks()}


def _locks() -> list[list[str]]:
    with open("/proc/locks", encoding="ascii") as table:
        # 1: FLOCK  ADVISORY  READ 7317 00:1a:1182 0 EOF
        return [line.replace("->", "").split() for line in table]


def wait_for_locks_of(pid: int) -> None:
    """Wait until an ended process holds no lock any more.

    See `still_locked_below`; in a container, the table does not name dead processes.
    """
    deadline = time.monotonic() + _PATIENCE
    while any(fields[4] == str(pid) for fields in _locks()):
        assert time.monotonic() < deadline, f"process {pid} still holds a lock"
        time.sleep(0.0005)


def still_locked_below(*directories: str) -> set[str]:
    """Wait until no file there is locked; return those that still are.

    A dead process usually releases its locks before waitpid(2) returns. But a process
    that reads its ``/proc/PID/maps`` keeps its memory, mappings and locks meanwhile.
    Monitors do that, and tests that run at the same time.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        files = {name for path in directories for name in arrays_below(path).values()}
        locked = files & locked_files()
        if not locked or time.monotonic() > deadline:
            return locked
        time.sleep(0.0005)  # there is no event to wait for
