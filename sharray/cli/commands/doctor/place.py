"""Checks of a directory for arrays on a disk."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass

from ....system import mounts
from ...output import size
from ...problem import ProblemError
from . import calls, probes, trial
from .finding import Finding, Verdict

_IN_MEMORY = ("tmpfs", "ramfs")
_FULL = 1 << 20
# Other machines than this one; what each does with mapped files and locks.
_NETWORK = {
    "nfs": "other machines see changes some time after a flush, and locks are the "
    "server's",
    "cifs": "other machines see changes late, and mapped files depend on the option "
    "cache=",
    "lustre": "locks need the mount option flock or localflock",
    "gpfs": "other machines see changes, at the cost of many messages",
    "beegfs": "other machines see changes late, and locks of theirs depend on its "
    "settings",
    "ceph": "other machines see changes some time after a flush",
    "afs": "other machines see changes when the file is closed",
    "9p": "mapped files that are shared need the option cache=mmap",
    "fuse": "a program serves it, on which mapped files and locks depend",
}
_FAMILIES = {
    "nfs4": "nfs",
    "smb3": "cifs",
    "smbfs": "cifs",
    "fuseblk": "fuse",
    "virtiofs": "fuse",
    "glusterfs": "fuse",
}
_DEPENDS = ("cifs", "9p", "afs", "fuse")
# Mount options with which a flush does not mean that data is on the disk.
_CARELESS = {"nobarrier", "barrier=0", "volatile", "eatmydata"}


@dataclass(frozen=True)
class Place:
    """What there is to know about a directory."""

    path: str
    file_system: mounts.FileSystem
    fault: str | None
    locks: probes.Locks | None
    trial: trial.Trial | None
    missing_calls: tuple[str, ...] = ()


def look_at(directory: str) -> Place:
    """Find out; leaves nothing in the directory.

    Raises
    ------
    ProblemError
        It is no directory.
    """
    if not os.path.isdir(directory):
        raise ProblemError(
            f"{directory!r} is not a directory; create it, or name the one in which "
            "the arrays are to be"
        )
    path = os.path.abspath(directory)
    system = mounts.file_system(path)
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
        locks = probes.try_locks(path)
        missing = calls.missing_in(path)
    except OSError as error:
        return Place(path, system, str(error.strerror), None, None)
    tried = trial.try_in_directory(path)
    return Place(path, system, None, locks, tried, missing)


def check_place(place: Place) -> list[Finding]:
    """All of them."""
    system = place.file_system
    found = [check_kind(place, system), check_flush(system), check_room(system)]
    if place.fault is not None:
        why = "No array can be made there."
        text = f"A file cannot be made in {place.path}: {place.fault}."
        return [*found, Finding("files there", Verdict.FAULT, text, why)]
    if place.locks is not None:
        found.append(check_locks(place.locks))
    if place.trial is not None:
        found.append(check_trial(place.trial))
    return [*found, calls.check_calls("calls there", place.missing_calls)]


def check_kind(place: Place, system: mounts.FileSystem) -> Finding:
    """What file system it is, and whether other machines are involved."""
    name = "file system"
    family = _family(system.kind)
    found = f"{place.path} is {system.kind or 'of unknown type'}, mounted at "
    found += f"{system.point}."
    if family in _NETWORK:
        why = (
            "Sharing is between processes of one machine. On this file system "
            f"{_NETWORK[family]}."
        )
        verdict = Verdict.WARNING if family in _DEPENDS else Verdict.NOTE
        return Finding(name, verdict, found, why)
    if system.kind == "overlay":
        why = (
            "It is the file system of a container, and goes with it. A file of the "
            "image that was opened read-only stays the old one when somebody writes."
        )
        return Finding(name, Verdict.NOTE, found, why)
    why = "On a local file system all processes that map a file see the same memory."
    return Finding(name, Verdict.OK, found, why)


def _family(kind: str) -> str:
    name = kind.partition(".")[0]
    return _FAMILIES.get(name, name)


def check_flush(system: mounts.FileSystem) -> Finding:
    """Whether flushed data outlives the power."""
    name, why = "flush", "When flush() returns, data should be on the disk."
    careless = _CARELESS.intersection(system.options)
    if system.kind in _IN_MEMORY:
        found = f"{system.kind} is memory: flush() does nothing, a restart loses all."
        return Finding(name, Verdict.NOTE, found, why)
    if careless:
        option = ", ".join(sorted(careless))
        found = f"{system.point} is mounted with {option}: a power cut can lose data."
        return Finding(name, Verdict.WARNING, found, why)
    found = "flush() asks the file system to write, and waits until it has."
    return Finding(name, Verdict.OK, found, why)


def check_room(system: mounts.FileSystem) -> Finding:
    """Whether there is space."""
    name, why = "free space", "An array gets all its space when it is made."
    if "ro" in system.options:
        found = f"{system.point} is mounted read-only."
        return Finding(name, Verdict.FAULT, found, "No array can be made there.")
    if system.size is None:
        return Finding(name, Verdict.OK, f"{system.point} has no limit.", why)
    found = f"{size(system.free)} of {size(system.size)} are free for this user."
    if system.free_inodes == 0:
        found += " There is no room for another file (no inodes)."
        return Finding(name, Verdict.FAULT, found, why)
    if system.free < _FULL:
        return Finding(name, Verdict.FAULT, found, why)
    if system.free < system.size // 20:
        return Finding(name, Verdict.WARNING, found, why)
    return Finding(name, Verdict.OK, found, why)


def check_locks(locks: probes.Locks) -> Finding:
    """Whether other programs that lock files are respected."""
    works = locks is probes.Locks.WORK
    return Finding(
        "locks",
        Verdict.OK if works else Verdict.WARNING,
        f"Locks on files (flock) {locks.value}.",
        "They tell that an array is in use."
        if works
        else "Arrays work, but nobody can tell whether one is in use: sharray rm needs "
        "--force, and files that killed processes have left stay.",
    )


def check_trial(result: trial.Trial) -> Finding:
    """Whether it works."""
    why = "It was made, written by another process, flushed, read as a file, removed."
    if result.fault is None:
        found = f"An array went through all of it, in {result.seconds:.2f} s."
        return Finding("trial there", Verdict.OK, found, why)
    why = "Sharing arrays does not work there."
    return Finding("trial there", Verdict.FAULT, f"{result.fault.rstrip('.')}.", why)
