"""Checks of the directory for arrays in RAM."""

from __future__ import annotations

import shlex

from ....storage.location import ENVIRONMENT_VARIABLE
from ....system.mounts import FileSystem
from ...output import size
from .calls import check_calls
from .facts import MemoryFacts, RamDirectory
from .finding import Finding, Verdict, count
from .host import Host
from .probes import Locks

_DOCKERS_DEFAULT = 64 << 20
_IN_MEMORY = ("tmpfs", "ramfs", "hugetlbfs")
_FULL = 1 << 20
_FEW_FILES = 1000
_WITHOUT = {
    Locks.MISSING: "Without them, nobody can tell whether an array is in use: arrays "
    "that were sent to another process stay until sharray rm --force.",
    Locks.FAIL: "They should tell that an array is used: arrays in use would be "
    "removed.",
}


def check_ram(facts: RamDirectory, memory: MemoryFacts, host: Host) -> list[Finding]:
    """All of them."""
    found = [check_directory(facts)]
    if facts.file_system is not None:
        found += [
            check_kind(facts, facts.file_system, host),
            check_room(facts.file_system, memory, host),
            check_files(facts.file_system, host),
            check_locks(facts),
            check_calls("calls in RAM", facts.missing_calls),
            check_contents(facts),
        ]
    return found


def check_directory(facts: RamDirectory) -> Finding:
    """Whether arrays can be made in it at all, and by nobody else."""
    name = "RAM directory"
    why = (
        "sh.zeros() and shm:// names have their files there; whoever else could write "
        "to it could replace them."
    )
    source = (
        f"chosen by {ENVIRONMENT_VARIABLE}" if facts.chosen else "the default place"
    )
    if facts.fault is None:
        state = "exists" if facts.exists else "will be made when needed"
        found = f"{facts.path} ({source}) {state}, with mode {facts.mode:04o}."
        if not facts.mode & 0o077:
            return Finding(name, Verdict.OK, found, why)
        why = "Others may list the names of arrays; their contents are private."
        commands = (f"chmod 700 {shlex.quote(facts.path)}",)
        return Finding(name, Verdict.NOTE, found, why, commands)
    place = facts.path or facts.chosen
    found = f"{place} ({source}): {facts.fault.rstrip('.')}."
    return Finding(name, Verdict.FAULT, found, why, _repairs(facts))


def _repairs(facts: RamDirectory) -> tuple[str, ...]:
    path = shlex.quote(facts.path)
    if not facts.path:
        made = f"mkdir -p -m 700 {shlex.quote(facts.chosen)}"
        return made, f"unset {ENVIRONMENT_VARIABLE}"
    if facts.exists and facts.is_ours and facts.mode & 0o022:
        return (f"chmod 700 {path}",)
    if facts.chosen:
        return (f"unset {ENVIRONMENT_VARIABLE}",)
    if facts.other_place:
        return (f"export {ENVIRONMENT_VARIABLE}={shlex.quote(facts.other_place)}",)
    export = f"export {ENVIRONMENT_VARIABLE}=~/ram  # on a disk"
    return (f"mkdir -p -m 700 ~/ram && {export}",)


def check_kind(facts: RamDirectory, system: FileSystem, host: Host) -> Finding:
    """Whether it is in memory."""
    name = "RAM file system"
    kind = system.kind or "of unknown type"
    found = f"{facts.parent} is {kind}, mounted at {system.point}."
    if "ro" in system.options:
        found = f"{facts.parent} is {kind}, mounted read-only at {system.point}."
        why = "No array can be made there."
        commands = host.set_mount(system.point, "rw")
        return Finding(name, Verdict.FAULT, found, why, commands)
    if system.kind in _IN_MEMORY:
        why = "Arrays there are memory, and never written to a disk."
        return Finding(name, Verdict.OK, found, why)
    if not system.kind:
        why = "It should be a tmpfs: on a disk, anonymous arrays are slower."
        return Finding(name, Verdict.NOTE, found, why)
    why = (
        "Anonymous arrays are files on this disk, and durable: changed pages are "
        "written to it, and flush() waits until they are. Memory is faster."
    )
    commands = (f"unset {ENVIRONMENT_VARIABLE}",) if facts.chosen else ()
    return Finding(name, Verdict.WARNING, found, why, commands)


def check_room(system: FileSystem, facts: MemoryFacts, host: Host) -> Finding:
    """Whether it is large enough, and not too large."""
    name = "room in RAM"
    memory = facts.memory
    total = memory.total if memory else None
    if system.size is None:
        why = "Filling it would use up the memory; the kernel then kills a process."
        found = f"{system.point} has no limit."
        return Finding(name, Verdict.NOTE, found, why, _resize(system, facts, host))
    found = f"{system.point} holds {size(system.size)}, {size(system.free)} are free"
    found += f"; the machine has {size(total)} of memory." if total else "."
    if system.free < _FULL:
        why = "It is full: no array can be made there."
        commands = ("sharray gc", "sharray ls", *_resize(system, facts, host))
        return Finding(name, Verdict.FAULT, found, why, commands)
    in_memory = system.kind in _IN_MEMORY
    if in_memory and total and system.size < total // 10:
        why = "Arrays in RAM, and messages after sh.install(), have no more room."
        if system.size == _DOCKERS_DEFAULT:
            why = f"64 MiB is the default of containers. {why}"
        if host.container == "kubernetes":
            why += " Mount an emptyDir with medium Memory at /dev/shm."
        return Finding(name, Verdict.WARNING, found, why, _resize(system, facts, host))
    if system.free < system.size // 10:
        why = "Less than a tenth is free: the next large array may not fit."
        commands = ("sharray gc", "sharray ls")
        return Finding(name, Verdict.WARNING, found, why, commands)
    if in_memory and memory and system.size > (memory.total + memory.swap) * 9 // 10:
        why = (
            "It is as large as all memory: filling it leaves programs none, and the "
            "kernel kills one. sharray refuses only arrays beyond what is available."
        )
        return Finding(name, Verdict.NOTE, found, why, _resize(system, facts, host))
    why = "An array that does not fit is refused when it is made, never later."
    return Finding(name, Verdict.OK, found, why)


def _resize(system: FileSystem, facts: MemoryFacts, host: Host) -> tuple[str, ...]:
    """Give it half of the memory that can be had."""
    total = facts.memory.total if facts.memory else 16 << 30
    if facts.group is not None:
        total = min(total, facts.group.limit)
    megabytes = max(64, total // 2 >> 20)
    if host.is_confined and system.point == "/dev/shm":
        return host.run_container(f"--shm-size={megabytes}m")
    return host.set_mount(system.point, f"size={megabytes}M")


def check_files(system: FileSystem, host: Host) -> Finding:
    """Whether it has room for more files."""
    name = "files in RAM"
    why = "Each array in RAM that has been sent, or has a name, is a file there."
    if system.inodes is None or system.free_inodes is None:
        found = f"{system.point} does not limit the number of files."
        return Finding(name, Verdict.OK, found, why)
    found = (
        f"{system.point} has room for {system.free_inodes} of {system.inodes} files."
    )
    if system.free_inodes >= _FEW_FILES:
        return Finding(name, Verdict.OK, found, why)
    verdict = Verdict.WARNING if system.free_inodes else Verdict.FAULT
    commands: tuple[str, ...] = ()
    if system.kind == "tmpfs":
        commands = host.set_mount(
            system.point, f"nr_inodes={2 * system.inodes + 10000}"
        )
    return Finding(name, verdict, found, why, commands)


def check_locks(facts: RamDirectory) -> Finding:
    """Whether the kernel knows who uses an array."""
    why = "A lock on its file, which each mapping holds, tells that an array is used."
    if facts.locks is None:
        found = "Not tried, as no file can be made."
        return Finding("locks in RAM", Verdict.NOTE, found, why)
    works = facts.locks is Locks.WORK
    commands = (f"unset {ENVIRONMENT_VARIABLE}",) if facts.chosen and not works else ()
    return Finding(
        "locks in RAM",
        Verdict.OK if works else Verdict.FAULT,
        f"Locks on files in {facts.parent} {facts.locks.value}.",
        _WITHOUT.get(facts.locks, why),
        commands,
    )


def check_contents(facts: RamDirectory) -> Finding:
    """Whether killed processes have left something."""
    has = facts.contents
    named = f"{count(has.named, 'named array')} ({size(has.named_bytes)}"
    found = f"{named}, {has.held} in use)" if has.named else "No named arrays"
    if not has.orphans and not has.unfinished:
        why = "Named arrays stay until sh.unlink(), or a restart of the machine."
        return Finding(
            "arrays in RAM", Verdict.OK, f"{found}; nothing is left over.", why
        )
    left = []
    if has.orphans:
        what = count(has.orphans, "anonymous array")
        left.append(f"{what} ({size(has.orphans_bytes)}) that nobody holds")
    if has.unfinished:
        what = count(has.unfinished, "unfinished file")
        left.append(f"{what} ({size(has.unfinished_bytes)})")
    why = (
        "Killed processes have left them, and they take memory. A process that shares "
        "arrays removes those that nobody holds when it ends, as this one will; "
        "unfinished files wait for sh.gc()."
    )
    found = f"{found}; {' and '.join(left)}."
    return Finding("arrays in RAM", Verdict.NOTE, found, why, ("sharray gc",))
