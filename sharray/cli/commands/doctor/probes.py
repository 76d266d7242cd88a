"""What can only be found out by trying."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import NamedTuple

import sharray as sh

from ....errors import SharrayError
from ....storage import location
from ....system import files, locks, memory
from ...problem import ProblemError
from . import calls

try:
    from packaging.requirements import Requirement
except ModuleNotFoundError as error:
    raise ProblemError(
        "this command needs packaging, which is not installed: "
        "pip install 'sharray[cli]'"
    ) from error

_ANONYMOUS = "shm://.anonymous/"


class Package(NamedTuple):
    """An installed package, which versions are wanted, and why it does not import."""

    name: str
    version: str | None
    wanted: str
    is_wanted: bool
    fault: str | None


class Locks(Enum):
    """What becomes of a lock on a file."""

    WORK = "work"
    MISSING = "are not offered"
    FAIL = "do not keep others out"


class Contents(NamedTuple):
    """How many files are in the RAM directory, and their bytes."""

    named: int = 0
    named_bytes: int = 0
    held: int = 0
    orphans: int = 0
    orphans_bytes: int = 0
    unfinished: int = 0
    unfinished_bytes: int = 0


def missing_calls() -> tuple[str, ...]:
    """System calls that sharray uses where it can, and that fail here."""
    found = []
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        found.append("pidfd_open")
    try:
        fd = memory.create_block(memory.PAGE_SIZE, "sharray-doctor")
    except (NotImplementedError, OSError):
        return (*found, "memfd_create")
    try:
        if not _has_byte_locks(fd):
            found.append("F_OFD_SETLK")
    finally:
        os.close(fd)
    return tuple(found)


def _has_byte_locks(fd: int) -> bool:
    if not locks.has_byte_locks():
        return False
    other = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
    try:
        locks.lock_byte(fd, 0)
        return locks.is_byte_locked(other, 0)
    except OSError:
        return False
    finally:
        os.close(other)


def package(name: str) -> Package:
    """What is installed of a package, and whether sharray is made for it."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    wanted = _wanted(name)
    try:
        importlib.import_module(name)
        fault = None
    except Exception as error:
        # Whatever a package does when it is imported, numba's checks included.
        fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
    fits = version is None or wanted.specifier.contains(version, prereleases=True)
    return Package(name, version, str(wanted.specifier), fits, fault)


def _wanted(name: str) -> Requirement:
    """The entry for a package in what sharray says that it needs."""
    try:
        entries = importlib.metadata.requires("sharray") or []
    except importlib.metadata.PackageNotFoundError:
        entries = []  # it runs from its sources
    for entry in map(Requirement, entries):
        if entry.name == name and entry.marker is None:
            return entry
    return Requirement(name)


def try_ram_directory(
    path: str,
) -> tuple[str | None, Locks | None, tuple[str, ...]]:
    """Why it cannot be used, whether locks work there, and which calls are missing."""
    exists = os.path.lexists(path)
    try:
        location.make_ram_directories(path)
        return None, try_locks(path), calls.missing_in(path)
    except OSError as error:  # most of sharray's own are one
        return _say(error), None, ()
    finally:
        if not exists:
            location.tidy_ram_directories(path)


def try_locks(directory: str) -> Locks:
    """Whether flock(2) on a file there works, between two openings of it.

    Raises OSError if no file can be made there.
    """
    with _unnamed_or_named(directory) as (fd, path), _opened(path) as other:
        try:
            first, second = locks.lock_exclusive(fd), locks.lock_exclusive(other)
        except OSError:
            return Locks.MISSING
    if first is None:
        return Locks.MISSING
    return Locks.WORK if first and second is False else Locks.FAIL


@contextmanager
def _unnamed_or_named(directory: str) -> Iterator[tuple[int, str]]:
    """A new file, of which nothing stays behind, and a path that opens it."""
    fd = files.open_unnamed(directory)
    if fd is not None:
        try:
            yield fd, f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
        return
    path = trial_path(directory)
    try:
        fd = files.open_new(path)
        try:
            yield fd, path
        finally:
            os.close(fd)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = files.open_existing(path, writable=True)
    try:
        yield fd
    finally:
        os.close(fd)


def trial_path(directory: str) -> str:
    """A name for a file that is removed again."""
    return os.path.join(directory, f".sharray-doctor-{os.getpid()}.npy")


def contents() -> Contents:
    """What is in the RAM directory; nothing is removed."""
    named = [info for info in sh.list() if not info.name.startswith(_ANONYMOUS)]
    left = sh.gc(dry_run=True)
    orphans = [path for path in left if location.is_anonymous(path)]
    unfinished = [path for path in left if not location.is_anonymous(path)]
    return Contents(
        len(named),
        sum(info.nbytes for info in named),
        sum(info.in_use is not False for info in named),
        len(orphans),
        _bytes_of(orphans),
        len(unfinished),
        _bytes_of(unfinished),
    )


def _bytes_of(paths: list[str]) -> int:
    found = 0
    for path in paths:
        with suppress(OSError):  # somebody else has removed it meanwhile
            found += os.stat(path).st_size
    return found


def _say(error: OSError) -> str:
    return str(error) if isinstance(error, SharrayError) else f"{error.strerror}"
