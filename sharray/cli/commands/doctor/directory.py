"""Checks of a directory that the user names: arrays in files there."""

from __future__ import annotations

import os

from ....system import mounts
from ...output import size
from ...problem import ProblemError
from . import Finding, Verdict, calls, trial

IN_MEMORY = ("tmpfs", "ramfs", "hugetlbfs")
_NETWORK = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph")
_SERVED = ("cifs", "smb3", "9p", "afs", "fuse", "fuseblk", "virtiofs", "glusterfs")
_LOCAL = Verdict.OK, "All processes that map a file see the same memory."
_LATE = "Processes of one machine share memory; other machines see changes late."
_DEPENDS = "Mapped files and locks depend on its server and options (9p: cache=mmap)."
_KINDS = {
    **dict.fromkeys(IN_MEMORY, (Verdict.NOTE, "A reboot loses everything in memory.")),
    **dict.fromkeys(_NETWORK, (Verdict.NOTE, _LATE)),
    **dict.fromkeys(_SERVED, (Verdict.WARNING, _DEPENDS)),
    "overlay": (Verdict.NOTE, "It belongs to a container, and goes with it."),
}
# With these mount options, flushed data need not be on the disk.
_CARELESS = {"nobarrier", "barrier=0", "volatile", "eatmydata"}


def check_directory(directory: str) -> list[Finding]:
    """Run all checks of a directory, and leave nothing there."""
    if not os.path.isdir(directory):
        raise ProblemError(
            f"{directory!r} is not a directory; create it, or name an existing one"
        )
    path = os.path.abspath(directory)
    system = mounts.file_system(path)
    found = [check_file_system(path, system), check_room("free space", system)]
    try:
        missing = calls.missing_in(path)
    except OSError as error:
        text = f"No file can be created in {path}: {error.strerror}."
        why = "No array can be created there."
        return [*found, Finding("files there", Verdict.FAULT, text, why)]
    check = calls.check_calls("calls there", missing)
    return [*found, check, trial.check_trial("trial there", path)]


def check_file_system(path: str, system: mounts.FileSystem) -> Finding:
    """Check the type of the file system, and its mount options."""
    found = f"{path} is on {system.kind or 'an unknown type'} at {system.point}"
    verdict, why = _KINDS.get(system.kind.partition(".")[0], _LOCAL)  # fuse.sshfs
    if careless := _CARELESS.intersection(system.options):
        found += f", mounted with {', '.join(sorted(careless))}"
        verdict, why = Verdict.WARNING, "A power cut can lose data that was flushed."
    return Finding("file system", verdict, f"{found}.", why)


def check_room(name: str, system: mounts.FileSystem) -> Finding:
    """Check that there is space for another array."""
    verdict, found = Verdict.OK, f"{size(system.free)} of {size(system.size)} are free."
    if "ro" in system.options:
        verdict, found = Verdict.FAULT, f"{system.point} is mounted read-only."
    elif system.size is None:
        found = f"{system.point} has no limit."
    elif system.free_inodes == 0:
        verdict, found = Verdict.FAULT, f"{system.point} has no inodes for more files."
    elif system.free < 1 << 20:
        verdict = Verdict.FAULT
    elif system.free < system.size // 20:
        verdict = Verdict.WARNING
    return Finding(name, verdict, found, "An array gets all its space at once.")
