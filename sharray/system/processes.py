"""Processes: a unique stamp for each, and whether it still runs.

The system reuses process numbers. A process number together with the start time of the
process is unique.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import resource
import sys
from collections.abc import Iterable

from . import clock

_LOOK_INTERVAL = 0.2

# Stamps of this process and of the topmost of its family. Reading /proc takes 20 us.
_own: int | None = None
_family: int | None = None


def stamp(pid: int) -> int:
    """Return 64 bits that identify a process: its number and start time.

    Return 0 for a process that has ended.
    """
    start = _start_time(pid)
    return 0 if start is None else pid << 32 | start & 0xFFFFFFFF


def own_stamp() -> int:
    """Return the `stamp` of this process."""
    global _own
    if _own is None:
        _own = stamp(os.getpid())
    return _own


def family_stamp() -> int:
    """Return the `stamp` of the topmost process of this one's family.

    A family is a process and the processes that it forks, or starts with
    multiprocessing. A forked child inherits the family. A child that multiprocessing
    spawns gets it by `join_family`; otherwise its parent counts as the topmost. Any
    other process is the topmost of its own family.
    """
    global _family
    if _family is None:
        process = sys.modules.get("multiprocessing.process")
        parent = process.parent_process() if process is not None else None
        _family = own_stamp() if parent is None else stamp(parent.pid)
    return _family


def join_family(family: int) -> None:
    """Set the family of this process, as its parent tells it."""
    global _family
    if is_alive(family):
        _family = family


def found_family() -> None:
    """Make this process, a fork of another one, the topmost of a family of its own."""
    global _family
    _family = own_stamp()


def is_topmost() -> bool:
    """Return whether this process is the topmost of its family."""
    return family_stamp() == own_stamp()


def _forget_after_fork() -> None:
    global _own
    _own = None


os.register_at_fork(before=family_stamp, after_in_child=_forget_after_fork)


def is_alive(name: int) -> bool:
    """Return whether the process with this `stamp` still runs."""
    return name != 0 and stamp(name >> 32) == name


def has_relatives(pids: Iterable[int]) -> bool:
    """Return whether one of these processes belongs to this one's family.

    It does if it descends from the topmost process of the family. If that has ended,
    a common ancestor other than init is enough.
    """
    topmost = family_stamp() >> 32
    ours, strangers = {topmost}, {0, 1}
    pid = os.getpid()
    while pid not in ours | strangers:
        ours.add(pid)
        pid = parent_of(pid)
    for pid in pids:
        while pid not in strangers:  # look up each process once: it takes 20 us
            if pid in ours:
                return True
            strangers.add(pid)
            pid = parent_of(pid)
    return False


def parent_of(pid: int) -> int:
    """Return the number of the parent of a process; 0 for one that has ended."""
    fields = _stat_fields(pid)
    return 0 if fields is None else int(fields[1])


def wait_for_end_of_parent(pid: int) -> None:
    """Wait until the parent process with this number has ended: pidfd_open(2)."""
    import select  # 1 ms that only workers need

    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        fd = -1
    # If the parent has ended before, another process may have this number by now.
    while os.getppid() == pid:
        if fd >= 0:
            select.select([fd], [], [])
        else:
            clock.sleep(_LOOK_INTERVAL)
    if fd >= 0:
        os.close(fd)


def move_to_another_core() -> None:
    """Move this thread to another core than the one that it runs on.

    The scheduler leaves two busy processes on one core, even if one only waits for
    the other. The set of permitted cores stays the same.
    """
    try:
        allowed = os.sched_getaffinity(0)
        others = allowed - {ctypes.CDLL(None).sched_getcpu()}
        if others:
            os.sched_setaffinity(0, others)
            os.sched_setaffinity(0, allowed)
    except (AttributeError, OSError):
        pass  # the thread stays on its core


def descriptor_limit() -> int:
    """Return how many descriptors this process may have: RLIMIT_NOFILE."""
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 20)


def spare_addresses() -> int:
    """Return how many bytes may be mapped without use.

    This is half of the machine's memory, so that page tables take a thousandth of that,
    or an eighth of RLIMIT_AS.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    half = _machine_memory() // 2
    return half if limit == resource.RLIM_INFINITY else min(half, limit // 8)


@functools.cache
def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def count_cores() -> int:
    """Return how many cores this process may use: its affinity and cgroup's quota."""
    from . import limits  # importing it takes 1 ms, and only teams need it

    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = limits.cpu_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _stat_fields(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/pid/stat from the third on; None if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as table:
            # The command (field 2) is in parentheses, and may have spaces and any
            # other characters in it.
            return table.read().rpartition(b")")[2].split()
    except OSError:
        return None


def _start_time(pid: int) -> int | None:
    """Return field 22 of /proc/pid/stat, in clock ticks since boot: proc(5)."""
    fields = _stat_fields(pid)
    if fields is None:
        return None
    # In a zombie, other threads may still run and keep its mappings.
    threads = int(fields[17])
    if fields[0] == b"X" or (fields[0] == b"Z" and threads <= 1):
        return None
    return int(fields[19])
