"""Try the system calls that a file system may lack, and report what is lost."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from ....system import files, locks, memory
from . import Finding, Verdict

_LEAVES = "a process killed in sh.create() leaves a file .NAME.0.new"
# The loss without each call, as docs/promises.md lists them.
_LOSSES = {
    "O_TMPFILE": _LEAVES,
    "linkat of unnamed files": _LEAVES,
    "link": "a new name is claimed by a rename that must not replace",
    "renameat2": "where link is missing too, a new file is empty for a moment",
    "fchmod": "the file system decides who may use a file",
    "posix_fallocate": "zeros are written to get room, which is slower",
    "fsync": "a new file may be lost in a power cut, and flush() raises",
    "fsync of directories": "the name of a new file may be lost in a power cut",
    "flock": "nobody can tell whether an array is in use: rm needs --force",
}


def missing_in(directory: str) -> tuple[str, ...]:
    """Try each call in a directory, and leave nothing there.

    Raises OSError if no file can be created.
    """
    path = os.path.join(directory, f".sharray-doctor-{os.getpid()}.calls")
    fd = files.open_new(path)
    try:
        return tuple(call for call in _LOSSES if not _works(call, fd, path))
    finally:
        os.close(fd)
        Path(path).unlink(missing_ok=True)


def _works(call: str, fd: int, path: str) -> bool:
    other = f"{path}.2"
    try:
        return _try(call, fd, path, other)
    except (AttributeError, NotImplementedError, OSError):
        return False  # no such function in Python, in the C library, or there
    finally:
        Path(other).unlink(missing_ok=True)


def _try(call: str, fd: int, path: str, other: str) -> bool:
    """Try a call on a new file, or on the free name `other` beside it."""
    match call:
        case "O_TMPFILE" | "linkat of unnamed files":
            return _try_unnamed(other, link=call != "O_TMPFILE")
        case "link":
            os.link(path, other)
        case "renameat2":
            os.close(files.open_new(other))
            with suppress(FileExistsError):
                return files.rename_new(path, other)
        case "fchmod":
            os.fchmod(fd, 0o640)
            # CIFS reports success in any case.
            return stat.S_IMODE(os.fstat(fd).st_mode) == 0o640
        case "posix_fallocate":
            os.posix_fallocate(fd, 0, memory.PAGE_SIZE)
        case "fsync":
            os.fsync(fd)
        case "fsync of directories":
            directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        case "flock":
            with open(path, "r+b") as second:  # must not get the lock of the first
                first = locks.lock_exclusive(fd)
                return first is True and locks.lock_exclusive(second.fileno()) is False
    return True


def _try_unnamed(other: str, *, link: bool) -> bool:
    fd = files.open_unnamed(os.path.dirname(other))
    if fd is None:
        return link  # only O_TMPFILE is missing
    try:
        if link:
            files.link_unnamed(fd, other)
    finally:
        os.close(fd)
    return True


def check_calls(name: str, missing: tuple[str, ...]) -> Finding:
    """Check whether the file system lacks calls."""
    if not missing:
        found = "The file system has all the calls that sharray can use."
        return Finding(name, Verdict.OK, found, "Arrays in files lose no guarantee.")
    losses = "; ".join(dict.fromkeys(_LOSSES[call] for call in missing))
    verdict = Verdict.WARNING if "flock" in missing else Verdict.NOTE
    found = f"The file system lacks {', '.join(missing)}."
    return Finding(name, verdict, found, f"Arrays work, but {losses}.")
