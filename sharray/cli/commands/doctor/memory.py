"""Checks of memory, its limits and huge pages."""

from __future__ import annotations

import os
import shlex

from ....system.limits import GroupLimit
from ....system.mounts import FileSystem
from ...output import size
from .facts import MemoryFacts
from .finding import Finding, Verdict
from .host import Host

_STRICT = 2
_UNITS = (".service", ".scope", ".slice")


def check_memory(
    facts: MemoryFacts, ram: FileSystem | None, host: Host
) -> list[Finding]:
    """All of them."""
    return [
        check_available(facts, ram, host),
        check_group(facts, ram, host),
        check_huge_pages(facts, ram, host),
    ]


def check_available(facts: MemoryFacts, ram: FileSystem | None, host: Host) -> Finding:
    """How much memory there is, and whether the kernel promises more."""
    memory = facts.memory
    name = "memory"
    why = "Arrays in RAM are memory; without swap, none of it can make room."
    if memory is None:
        return Finding(name, Verdict.NOTE, "This system does not tell.", why)
    swap = f"{size(memory.swap)} of swap" if memory.swap else "no swap"
    found = f"{size(memory.available)} of {size(memory.total)} are available, {swap}."
    if memory.overcommit == _STRICT:
        left = max(0, memory.commit_limit - memory.committed)
        if ram is not None and ram.size is not None and left < ram.free:
            found += f" vm.overcommit_memory is 2, which leaves {size(left)}."
            why = f"Arrays in RAM fit into that, not into {size(ram.free)}."
            commands = host.set_kernel("vm.overcommit_memory", 0)
            return Finding(name, Verdict.WARNING, found, why, commands)
    if memory.available < memory.total // 10:
        why = "Less than a tenth is left: a large array in RAM may not fit."
        return Finding(name, Verdict.WARNING, found, why)
    return Finding(name, Verdict.OK, found, why)


def check_group(facts: MemoryFacts, ram: FileSystem | None, host: Host) -> Finding:
    """Whether a control group allows less memory than the RAM directory."""
    name, group = "memory limit", facts.group
    why = "Arrays in RAM count; beyond the limit the kernel kills a process (OOM)."
    if group is None or (facts.memory and group.limit >= facts.memory.total):
        found = "No control group limits the memory of this process."
        return Finding(name, Verdict.OK, found, why)
    found = f"{size(group.limit)}, of which {size(group.used)} are used"
    if group.limit - group.used < group.limit // 10:
        found += f" ({group.file})."
        return Finding(name, Verdict.WARNING, found, why, _raise(group, ram, host))
    if ram is None or (ram.size is not None and ram.size <= group.limit):
        return Finding(name, Verdict.OK, f"{found}.", why)
    room = "no limit" if ram.size is None else size(ram.size)
    found += f"; {ram.point} has {room} ({group.file})."
    return Finding(name, Verdict.WARNING, found, why, _raise(group, ram, host))


def _raise(group: GroupLimit, ram: FileSystem | None, host: Host) -> tuple[str, ...]:
    """Allow as much as the RAM directory holds, and half of that more."""
    wanted = max(group.limit, ram.size or 0 if ram else 0) * 3 // 2 >> 20
    if host.in_slurm:
        return (f"sbatch --mem={wanted}M ...", f"srun --mem={wanted}M ...")
    if host.container is not None:
        return host.run_container(f"--memory={wanted}m")
    unit = os.path.basename(os.path.dirname(group.file))
    if unit.endswith(_UNITS):
        command = f"systemctl set-property {shlex.quote(unit)} MemoryMax={wanted}M"
        return (host.as_root(command),)
    return (f"echo {wanted}M | {host.as_root(f'tee {shlex.quote(group.file)}')}",)


def check_huge_pages(facts: MemoryFacts, ram: FileSystem | None, host: Host) -> Finding:
    """Whether arrays in RAM get huge pages."""
    name, huge = "huge pages", facts.huge
    why = (
        "With huge pages, large arrays in RAM can be faster, above all where elements "
        "are read in no order: the processor looks up fewer addresses."
    )
    if huge.shmem is None:
        found = "This kernel has none for files in memory."
        return Finding(name, Verdict.OK, found, why)
    if ram is None or ram.kind != "tmpfs":
        found = "They are for a tmpfs, which the RAM directory is not in."
        return Finding(name, Verdict.OK, found, why)
    setting = _setting(ram)
    found = f"Files in {ram.point}: huge={setting}; shmem_enabled is {huge.shmem}."
    if huge.shmem == "force" or (
        setting in ("always", "within_size") and huge.shmem != "deny"
    ):
        return Finding(name, Verdict.OK, f"Used, {size(huge.size)} each. {found}", why)
    if setting == "advise":
        why += " sharray does not advise, so that huge=advise brings none."
    if host.is_confined:
        return Finding(name, Verdict.NOTE, f"Not used. {found}", why)
    commands: tuple[str, ...] = ()
    if huge.shmem == "deny":
        path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
        commands = (f"echo never | {host.as_root(f'tee {path}')}",)
    if setting not in ("always", "within_size"):
        # Not "always", which gives a huge page to each small array, too.
        commands += host.set_mount(ram.point, "huge=within_size")
    return Finding(name, Verdict.NOTE, f"Not used. {found}", why, commands)


def _setting(ram: FileSystem) -> str:
    for option in ram.options:
        name, _, value = option.partition("=")
        if name == "huge":
            return value
    return "never"
