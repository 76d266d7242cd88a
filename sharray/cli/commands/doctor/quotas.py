"""Checks of the limits of processes."""

from __future__ import annotations

from ....system.limits import Limit
from ...output import size
from .facts import Quotas
from .finding import Finding, Verdict, count
from .host import Host

_FEW_FILES, _MANY_FILES = 256, 65536
_OTHER_FILES = 70  # about what Python and messages have open
_FEW_MAPPINGS, _USUAL_MAPPINGS = 5000, 65530


def check_quotas(facts: Quotas, host: Host, can_see: bool | None) -> list[Finding]:
    """All of them."""
    return [
        check_files(facts, host),
        check_mappings(facts, host),
        check_size(
            "address space",
            facts.address_space,
            "Every mapped array takes address space, in each process.",
            "-v",
        ),
        check_size(
            "file size",
            facts.file_size,
            "A larger array cannot be made, on a disk or in RAM.",
            "-f",
        ),
        check_tasks(facts, host),
        check_cores(facts),
        check_view(facts, host, can_see),
    ]


def check_files(facts: Quotas, host: Host) -> Finding:
    """How many files this process may have open, and the system."""
    name, limit = "open files", facts.files
    why = (
        "Up to Python 3.12 each mapped array keeps a descriptor."
        if facts.keeps_descriptors
        else "Arrays that have not been sent, and messages, have one open each."
    )
    if facts.system_files is not None:
        used, most = facts.system_files
        if used > most * 9 // 10:
            found = f"The system has {used} of at most {most} open."
            commands = host.set_kernel("fs.file-max", 2 * most)
            return Finding(name, Verdict.WARNING, found, why, commands)
    if limit.soft is None:
        return Finding(name, Verdict.OK, "No limit.", why)
    found = f"{limit.soft}, and {_or_none(limit.hard)} if asked for"
    if facts.keeps_descriptors:
        arrays = max(0, limit.soft - _OTHER_FILES)
        found += f": about {arrays} arrays in a process"
    few = limit.soft < _FEW_FILES
    if not few and not (facts.keeps_descriptors and limit.soft <= 4096):
        return Finding(name, Verdict.OK, f"{found}.", why)
    verdict = Verdict.WARNING if few else Verdict.NOTE
    return Finding(name, verdict, f"{found}.", why, _more_files(limit, host))


def _more_files(limit: Limit, host: Host) -> tuple[str, ...]:
    wanted = min(limit.hard or _MANY_FILES, _MANY_FILES)
    if limit.soft is not None and wanted > limit.soft:
        return (f"ulimit -n {wanted}",)
    if host.container is not None:
        return host.run_container(f"--ulimit nofile={_MANY_FILES}")
    line = f'echo "$USER - nofile {_MANY_FILES}"'
    file = "/etc/security/limits.d/sharray.conf"
    return (f"{line} | {host.as_root(f'tee {file}')}  # then log in again",)


def check_mappings(facts: Quotas, host: Host) -> Finding:
    """How many mappings a process may have."""
    name, most = "mappings", facts.mappings
    why = "Each array that a process has open is a mapping of it (vm.max_map_count)."
    if most is None:
        return Finding(name, Verdict.OK, "This system does not tell.", why)
    found = f"At most {most} in a process."
    if most >= _USUAL_MAPPINGS:
        return Finding(name, Verdict.OK, found, why)
    verdict = Verdict.WARNING if most < _FEW_MAPPINGS else Verdict.NOTE
    commands = host.set_kernel("vm.max_map_count", _USUAL_MAPPINGS)
    return Finding(
        name, verdict, f"{found} Usual are {_USUAL_MAPPINGS}.", why, commands
    )


def check_size(name: str, limit: Limit, why: str, option: str) -> Finding:
    """Whether there is a limit on something that large arrays need."""
    if limit.soft is None:
        return Finding(name, Verdict.OK, "No limit.", why)
    most = "no limit" if limit.hard is None else size(limit.hard)
    found = f"Limited to {size(limit.soft)}; {most} if asked for."
    wanted = "unlimited" if limit.hard is None else str(limit.hard // 1024)
    commands: tuple[str, ...] = (f"ulimit {option} {wanted}",)
    if limit.hard == limit.soft:
        why += " Only the administrator, or the batch system, can raise it."
        commands = ()
    return Finding(name, Verdict.WARNING, found, why, commands)


def check_tasks(facts: Quotas, host: Host) -> Finding:
    """Whether workers can be started."""
    name, group = "processes", facts.task_group
    why = "A team and a pool start a process for each core, numba threads besides."
    left, limits = [], []
    if facts.tasks.soft is not None and not host.is_root:
        left.append(facts.tasks.soft - facts.tasks_used)
        limits.append(f"{facts.tasks_used} of {facts.tasks.soft} of this user")
    if group is not None:
        left.append(group.limit - group.used)
        limits.append(f"{group.used} of {group.limit} of its control group")
    if not left:
        return Finding(name, Verdict.OK, "No limit.", why)
    found = f"Running, with threads: {', '.join(limits)}."
    if min(left) >= 2 * facts.cores + 16:
        return Finding(name, Verdict.OK, found, why)
    commands: tuple[str, ...] = ()
    hard = facts.tasks.hard
    if group is not None and group.limit - group.used == min(left):
        commands = host.run_container("--pids-limit=-1")
    elif facts.tasks.soft != hard:
        commands = (f"ulimit -u {'unlimited' if hard is None else hard}",)
    return Finding(name, Verdict.WARNING, found, why, commands)


def check_cores(facts: Quotas) -> Finding:
    """How many processes a team has."""
    why = "sh.run() uses each core that this process may use, by affinity and quota."
    cores = count(facts.cores, "core")
    found = f"{cores} of {facts.cores_present}: a team of {facts.cores}, this process "
    found += "included."
    return Finding("cores", Verdict.OK, found, why)


def check_view(facts: Quotas, host: Host, can_see: bool | None) -> Finding:
    """Whether it can be told who holds an array."""
    name = "view of processes"
    why = "It is how sharray shows who has an array mapped, as in `sharray ls`."
    if can_see is False:
        found = "The mappings of this user's other processes cannot be read in /proc."
        return Finding(name, Verdict.NOTE, found, why)
    found = (
        "Those of all users are seen."
        if host.is_root
        else "Those of this user are seen; of other users, by root only."
    )
    if can_see is None:
        found = "Not tried, as there was no other process."
    if facts.hidden_processes is not None and not host.is_root:
        found += f" /proc is mounted with hidepid={facts.hidden_processes}."
    return Finding(name, Verdict.OK, found, why)


def _or_none(limit: int | None) -> str:
    return "no limit" if limit is None else str(limit)
