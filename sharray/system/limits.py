"""Limits of the system, of control groups and of this process.

Each call reads the system's files again, unless it says otherwise. None means "no
limit" or "not reported here"; a missing value is never made up.
"""

from __future__ import annotations

import functools
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import clock
from .mounts import mounts, read

_GROUPS_KEPT = 10.0  # s
_NO_LIMIT = 1 << 62  # cgroup version 1 writes the largest number of pages instead
# Version of control groups, file names, and the prefix of names in memory.stat.
_MEMORY_FILES = (
    (1, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    (2, "memory.max", "memory.current", ""),
)


class Memory(NamedTuple):
    """/proc/meminfo in bytes."""

    total: int
    available: int
    swap: int


class GroupLimit(NamedTuple):
    """The tightest limit of the control groups that this process is in."""

    limit: int
    used: int
    file: str


class Limit(NamedTuple):
    """getrlimit(2)."""

    soft: int | None
    hard: int | None


class HugePages(NamedTuple):
    """Settings of transparent huge pages for files in memory; None without any."""

    shmem: str | None
    size: int


def memory(proc: str = "/proc") -> Memory | None:
    """Return the memory of the system; None if it is not reported."""
    table = dict(
        line.split(":", 1)
        for line in read(f"{proc}/meminfo").splitlines()
        if ":" in line
    )
    if "MemTotal" not in table:
        return None
    names = "MemTotal", "MemAvailable", "SwapTotal"
    return Memory(*(int(table.get(name, "0").split()[0]) * 1024 for name in names))


def memory_limit(proc: str = "/proc") -> GroupLimit | None:
    """Return the limit on this process's memory, arrays in RAM included: cgroups(7)."""
    for version, limit, used, _ in _MEMORY_FILES:
        found = []
        for directory in _group_directories("memory", proc, version):
            value = _read_number(f"{directory}/{limit}")
            if value is not None and value < _NO_LIMIT:
                now = _read_number(f"{directory}/{used}") or 0
                found.append(GroupLimit(value, now, f"{directory}/{limit}"))
        if found:
            return min(found)
    return None


def available_memory(proc: str = "/proc", *, max_age: float = 0.0) -> int | None:
    """Return the bytes that can be used without swapping; None if unknown.

    The limits of control groups count as well. A file in RAM is charged to the group
    of the process that first writes it. The kernel kills a process of a group that
    exceeds its limit. The group's cache of files on disks counts as available.

    Parameters
    ----------
    proc : str, optional
        Directory of the system's files.
    max_age : float, default 0.0
        Accept an answer that is up to so many seconds old. It takes 0.5 us; a new one
        takes 30 us and more.
    """
    now = clock.monotonic()
    if max_age and (last := _last_available.get(proc)) and now - last[0] <= max_age:
        return last[1]
    system = memory(proc)
    found = [] if system is None else [system.available]
    for directory, limit, used, prefix in _limited_groups(proc, now // _GROUPS_KEPT):
        most = _read_number(f"{directory}/{limit}")
        taken = _read_number(f"{directory}/{used}")
        if most is not None and taken is not None:
            found.append(max(0, most - taken + _kept_of_files(directory, prefix)))
    answer = min(found, default=None)
    _last_available[proc] = now, answer
    return answer


_last_available: dict[str, tuple[float, int | None]] = {}


@functools.lru_cache(maxsize=4)
def _limited_groups(proc: str, period: float) -> list[tuple[str, str, str, str]]:
    """Return the groups whose memory is limited; remembered, since it takes 400 us.

    It is remembered for one period only: an administrator may set a limit, or move the
    process.
    """
    return [
        (directory, limit, used, prefix)
        for version, limit, used, prefix in _MEMORY_FILES
        for directory in _group_directories("memory", proc, version)
        if (_read_number(f"{directory}/{limit}") or _NO_LIMIT) < _NO_LIMIT
    ]


def _kept_of_files(directory: str, prefix: str) -> int:
    text = read(f"{directory}/memory.stat")
    kept = re.findall(rf"^{prefix}(?:in)?active_file (\d+)$", text, re.MULTILINE)
    return sum(map(int, kept))


def cpu_quota(proc: str = "/proc") -> float | None:
    """Return the CPU time that the control groups allow, in cores: cgroups(7)."""
    found = []
    for directory in _group_directories("cpu", proc, 2):
        fields = read(f"{directory}/cpu.max").split()
        if len(fields) == 2 and fields[0] != "max":
            found.append(int(fields[0]) / int(fields[1]))
    for directory in _group_directories("cpu", proc, 1):
        quota = _read_number(f"{directory}/cpu.cfs_quota_us")  # -1: none
        period = _read_number(f"{directory}/cpu.cfs_period_us")
        if quota and period:
            found.append(quota / period)
    return min(found, default=None)


def _group_directories(controller: str, proc: str, version: int) -> Iterator[str]:
    """Yield the directories of this process's control group and of its parents."""
    group = None
    for line in read(f"{proc}/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if (number == "0") if version == 2 else controller in controllers.split(","):
            group = path
    kind = "cgroup2" if version == 2 else "cgroup"
    for mount in mounts(proc):
        if (
            group is None
            or mount.kind != kind
            or (version == 1 and controller not in mount.options)
        ):
            continue
        # In a container, the mount may begin in the middle of the tree.
        below = os.path.relpath(group, mount.root) if group != mount.root else "."
        place = Path(mount.point)
        if not below.startswith(".."):
            place = place / below
        yield str(place)
        while place != Path(mount.point):
            place = place.parent
            yield str(place)
        return


def open_files() -> Limit:
    """Return how many descriptors a process may have: getrlimit(2), RLIMIT_NOFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    return Limit(None if soft == infinite else soft, None if hard == infinite else hard)


def huge_pages(sys: str = "/sys") -> HugePages:
    """Return the settings of transparent huge pages."""
    directory = f"{sys}/kernel/mm/transparent_hugepage"
    return HugePages(
        _choice(f"{directory}/shmem_enabled"),
        _read_number(f"{directory}/hpage_pmd_size") or 0,
    )


def _choice(path: str) -> str | None:
    """Return the selected word of a settings file: the one in brackets."""
    found = re.search(r"\[(\w+)\]", read(path))
    return found[1] if found else None


def _read_number(path: str) -> int | None:
    text = read(path).strip()
    return int(text) if text.isdigit() else None
