"""What the checks look at, asked of this machine."""

from __future__ import annotations

import os
import platform
import stat
import sys
from dataclasses import dataclass, replace

from ....errors import SharrayError
from ....storage import location
from ....system import limits, mounts, processes
from . import probes
from .host import Host


@dataclass(frozen=True)
class Software:
    """The system, Python, and packages."""

    system: str
    release: str
    processor: str
    missing_calls: tuple[str, ...]
    implementation: str
    python: tuple[int, int, int]
    packages: tuple[probes.Package, ...]


@dataclass(frozen=True)
class RamDirectory:
    """The directory for arrays in RAM.

    `fault` says why it cannot be used, `path` and `parent` may then be "", and
    `file_system` and `locks` None. `chosen` is what ``SHARRAY_RAM_DIR`` says, and
    `other_place` another directory in memory, if there is one.
    """

    chosen: str
    path: str
    parent: str
    exists: bool
    is_ours: bool
    mode: int
    fault: str | None
    file_system: mounts.FileSystem | None
    locks: probes.Locks | None
    contents: probes.Contents
    other_place: str
    missing_calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class MemoryFacts:
    """Memory, and what limits it."""

    memory: limits.Memory | None
    group: limits.GroupLimit | None
    huge: limits.HugePages


@dataclass(frozen=True)
class Quotas:
    """Limits of processes."""

    keeps_descriptors: bool
    files: limits.Limit
    system_files: tuple[int, int] | None
    mappings: int | None
    address_space: limits.Limit
    file_size: limits.Limit
    tasks: limits.Limit
    tasks_used: int
    task_group: limits.GroupLimit | None
    cores: int
    cores_present: int
    hidden_processes: str | None


def host() -> Host:
    """Who may change what here."""
    return Host(
        os.geteuid() == 0,
        limits.may_administer(),
        limits.container(),
        "SLURM_JOB_ID" in os.environ,
    )


def software() -> Software:
    """The system, Python, and packages."""
    found = os.uname()
    return Software(
        found.sysname,
        found.release,
        found.machine,
        probes.missing_calls(),
        platform.python_implementation(),
        sys.version_info[:3],
        tuple(probes.package(name) for name in ("numpy", "numba")),
    )


def ram_directory() -> RamDirectory:
    """The directory for arrays in RAM; it is made and removed again if missing."""
    chosen = os.environ.get(location.ENVIRONMENT_VARIABLE, "")
    nothing = RamDirectory(
        chosen=chosen,
        path="",
        parent="",
        exists=False,
        is_ours=True,
        mode=0o700,
        fault=None,
        file_system=None,
        locks=None,
        contents=probes.Contents(),
        other_place=_runtime_directory(),
    )
    try:
        path = location.ram_directory()
    except SharrayError as error:
        return replace(nothing, fault=str(error))
    parent = os.path.dirname(path)
    found = replace(
        nothing,
        path=path,
        parent=parent,
        file_system=mounts.file_system(parent),
    )
    if os.path.lexists(path):
        status = os.lstat(path)
        found = replace(
            found,
            exists=True,
            is_ours=status.st_uid == os.getuid(),
            mode=stat.S_IMODE(status.st_mode),
            contents=probes.contents(),
        )
    fault, locks, missing = probes.try_ram_directory(path)
    return replace(found, fault=fault, locks=locks, missing_calls=missing)


def _runtime_directory() -> str:
    """The directory in memory that a user gets at log-in."""
    found = os.environ.get("XDG_RUNTIME_DIR", "")
    return found if os.access(found, os.W_OK | os.X_OK) else ""


def memory() -> MemoryFacts:
    """Memory, and what limits it."""
    return MemoryFacts(limits.memory(), limits.memory_limit(), limits.huge_pages())


def quotas() -> Quotas:
    """Limits of processes."""
    return Quotas(
        sys.version_info < (3, 13),
        limits.limit("NOFILE"),
        limits.system_files(),
        limits.most_mappings(),
        limits.limit("AS"),
        limits.limit("FSIZE"),
        limits.limit("NPROC"),
        limits.count_tasks(),
        limits.task_limit(),
        processes.count_cores(),
        os.cpu_count() or 1,
        mounts.hidden_processes(),
    )
