"""Checks of memory, the memory limit and open files."""

from __future__ import annotations

import shlex
import sys

from ....system import limits
from ....system.limits import GroupLimit, Limit, Memory
from ...output import size
from . import Finding, Verdict, as_root

_FEW_FILES, _FEW_ARRAYS, _MANY_FILES = 256, 4097, 65536
_OTHER_FILES = 70  # about the number that Python and messages have open


def check_resources() -> list[Finding]:
    """Run all checks of memory and limits."""
    memory = limits.memory()
    return [
        check_memory(memory),
        check_memory_limit(limits.memory_limit(), memory),
        check_open_files(limits.open_files(), sys.version_info < (3, 13)),
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


def check_open_files(limit: Limit, keeps_descriptors: bool) -> Finding:
    """Check how many files this process may have open."""
    why = "Messages, and arrays that have not been sent, have a descriptor each."
    if keeps_descriptors:
        why = "Up to Python 3.12 each mapped array keeps a descriptor."
    if limit.soft is None:
        return Finding("open files", Verdict.OK, "No limit.", why)
    found = f"At most {limit.soft} in a process"
    if keeps_descriptors:
        found += f", enough for about {max(0, limit.soft - _OTHER_FILES)} arrays"
    if limit.soft >= (_FEW_ARRAYS if keeps_descriptors else _FEW_FILES):
        return Finding("open files", Verdict.OK, f"{found}.", why)
    verdict = Verdict.NOTE if limit.soft >= _FEW_FILES else Verdict.WARNING
    wanted = min(limit.hard or _MANY_FILES, _MANY_FILES)
    command = f"ulimit -n {wanted}"
    if wanted <= limit.soft:
        file = as_root("tee /etc/security/limits.d/sharray.conf")
        command = f'echo "$USER - nofile {_MANY_FILES}" | {file}  # then log in again'
    return Finding("open files", verdict, f"{found}.", why, (command,))
