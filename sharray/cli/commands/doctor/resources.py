"""Checks of memory, the memory limit and open files."""

from __future__ import annotations

import shlex

from ....system import limits
from ....system.limits import GroupLimit, Limit, Memory
from ...output import size
from . import Finding, Verdict, as_root

_FEW_FILES, _MANY_FILES = 256, 65536


def check_resources() -> list[Finding]:
    """Run all checks of memory and limits."""
    memory = limits.memory()
    return [
        check_memory(memory),
        check_memory_limit(limits.memory_limit(), memory),
        check_open_files(limits.open_files()),
    ]


def check_memory(memory: Memory | None) -> Finding:
    """Check how much memory is available."""
    name, why = "memory", "Arrays in RAM take memory; only swap can make more room."
    if memory is None:
        return Finding(name, Verdict.NOTE, "This system does not tell.", why)
    swap = f"{size(memory.swap)} of swap" if memory.swap else "no swap"
    found = f"{size(memory.available)} of {size(memory.total)} are available, {swap}."
    scarce = memory.available < memory.total // 10
    return Finding(name, Verdict.WARNING if scarce else Verdict.OK, found, why)


def check_memory_limit(group: GroupLimit | None, memory: Memory | None) -> Finding:
    """Check whether the control group's limit on memory is nearly reached."""
    why = "Arrays in RAM count; beyond the limit the kernel kills a process (OOM)."
    if group is None or (memory and group.limit >= memory.total):
        found = "No control group limits the memory of this process."
        return Finding("memory limit", Verdict.OK, found, why)
    found = f"{size(group.used)} of {size(group.limit)} are used ({group.file})."
    if group.limit - group.used >= group.limit // 10:
        return Finding("memory limit", Verdict.OK, found, why)
    wanted = group.limit * 3 // 2 >> 20
    commands = (
        f"sbatch --mem={wanted}M ...  # in a Slurm job",
        f"docker run --memory={wanted}m ...  # in a container",
        f"echo {wanted}M | {as_root(f'tee {shlex.quote(group.file)}')}  # elsewhere",
    )
    return Finding("memory limit", Verdict.WARNING, found, why, commands)


def check_open_files(limit: Limit) -> Finding:
    """Check how many files this process may have open."""
    why = "Messages, and up to 64 arrays in RAM, have a descriptor or two each."
    if limit.soft is None:
        return Finding("open files", Verdict.OK, "No limit.", why)
    found = f"At most {limit.soft} in a process."
    if limit.soft >= _FEW_FILES:
        return Finding("open files", Verdict.OK, found, why)
    wanted = min(limit.hard or _MANY_FILES, _MANY_FILES)
    command = f"ulimit -n {wanted}"
    if wanted <= limit.soft:
        file = as_root("tee /etc/security/limits.d/sharray.conf")
        command = f'echo "$USER - nofile {_MANY_FILES}" | {file}  # then log in again'
    return Finding("open files", Verdict.WARNING, found, why, (command,))
