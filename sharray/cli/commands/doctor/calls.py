"""Optional system calls of a directory: which are missing, and what is lost then."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from ....system import files, memory
from .finding import Finding, Verdict

_NBYTES = memory.PAGE_SIZE
_MODE = 0o640


class _Trial(NamedTuple):
    """A new file, its path, and a name that is free."""

    fd: int
    path: str
    other: str

    @property
    def directory(self) -> str:
        return os.path.dirname(self.path)


def _make_unnamed(trial: _Trial) -> None:
    os.close(os.open(trial.directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _link_unnamed(trial: _Trial) -> None:
    fd = files.open_unnamed(trial.directory)
    if fd is not None:
        try:
            files.link_unnamed(fd, trial.other)
        finally:
            files.close(fd)


def _rename(trial: _Trial) -> None:
    os.close(files.open_new(trial.other))
    with suppress(FileExistsError):
        if not files.rename_new(trial.path, trial.other):
            raise NotImplementedError


def _set_mode(trial: _Trial) -> None:
    os.fchmod(trial.fd, _MODE)
    # CIFS says that it has done so.
    if stat.S_IMODE(os.fstat(trial.fd).st_mode) != _MODE:
        raise NotImplementedError


def _sync_directory(trial: _Trial) -> None:
    fd = os.open(trial.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_LEAVES = "a process that is killed in sh.create() leaves a file .NAME.0.new"
# The call, how to try it, and what is lost without it.
_CALLS: tuple[tuple[str, Callable[[_Trial], object], str], ...] = (
    ("O_TMPFILE", _make_unnamed, _LEAVES),
    ("linkat of unnamed files", _link_unnamed, _LEAVES),
    (
        "link",
        lambda trial: os.link(trial.path, trial.other),
        "a new name is claimed by a rename that must not replace",
    ),
    (
        "renameat2",
        _rename,
        "where link is missing too, a new file is empty for a moment",
    ),
    ("fchmod", _set_mode, "the file system decides who may use a file"),
    (
        "posix_fallocate",
        lambda trial: os.posix_fallocate(trial.fd, 0, _NBYTES),
        "zeros are written to get room, which is slower",
    ),
    (
        "fsync",
        lambda trial: os.fsync(trial.fd),
        "a new file may be lost in a power cut, and flush() raises",
    ),
    (
        "fsync of directories",
        _sync_directory,
        "the name of a new file may be lost in a power cut",
    ),
)


def missing_in(directory: str) -> tuple[str, ...]:
    """Try each call in a directory; nothing stays there.

    Raises OSError if no file can be made.
    """
    path = os.path.join(directory, f".sharray-doctor-{os.getpid()}.calls")
    trial = _Trial(files.open_new(path), path, f"{path}.2")
    try:
        return tuple(name for name, call, _ in _CALLS if not _works(call, trial))
    finally:
        os.close(trial.fd)
        _remove(trial.path)


def _works(call: Callable[[_Trial], object], trial: _Trial) -> bool:
    try:
        call(trial)
    except (AttributeError, NotImplementedError, OSError):
        return False
    finally:
        _remove(trial.other)
    return True


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def check_calls(name: str, missing: tuple[str, ...]) -> Finding:
    """Say what arrays lose there."""
    if not missing:
        found = "The file system has all the calls that sharray can use."
        why = "No guarantee for arrays in files is lost there."
        return Finding(name, Verdict.OK, found, why)
    lost = dict.fromkeys(loss for call, _, loss in _CALLS if call in missing)
    found = f"The file system lacks {', '.join(missing)}."
    why = f"Arrays work; but {'; '.join(lost)}."
    return Finding(name, Verdict.NOTE, found, why)
