"""Processes: a name for each that is never used twice, and whether it lives.

A process number alone comes back after a while; together with the start time
of the process it does not.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import select
import sys
from collections.abc import Iterable

from . import clock

_LOOK_INTERVAL = 0.2

# Remembered, since /proc costs 20 us: this process, and the topmost of its family.
_own: int | None = None
_family: int | None = None


def stamp(pid: int) -> int:
    """64 bits that name one process: its number and when it started.

    Returns 0 for a process that is gone.
    """
    start = _start_time(pid)
    return 0 if start is None else pid << 32 | start & 0xFFFFFFFF


def own_stamp() -> int:
    """`stamp` of this process."""
    global _own
    if _own is None:
        _own = stamp(os.getpid())
    return _own


def family_stamp() -> int:
    """`stamp` of the process from which this one descends, by Python's own means.

    Forked children have the family of who forked them; those that multiprocessing
    starts anew are told by `join_family`, or else take their parent for the topmost.
    Any other process is the topmost of its own.
    """
    global _family
    if _family is None:
        process = sys.modules.get("multiprocessing.process")
        parent = process.parent_process() if process is not None else None
        _family = own_stamp() if parent is None else stamp(parent.pid)
    return _family


def join_family(family: int) -> None:
    """Be told by the process that has started this one."""
    global _family
    if is_alive(family):
        _family = family


def is_topmost() -> bool:
    """Whether this process was started by none of its family."""
    return family_stamp() == own_stamp()


def _forget_after_fork() -> None:
    global _own
    _own = None


os.register_at_fork(before=family_stamp, after_in_child=_forget_after_fork)


def is_alive(name: int) -> bool:
    """Whether the process of this `stamp` still runs."""
    return name != 0 and stamp(name >> 32) == name


def has_relatives(pids: Iterable[int]) -> bool:
    """Tell whether one of these processes belongs to this one's family.

    It does if it and this process descend from the topmost process of the family, or
    from any other process but init if that has ended.
    """
    topmost = family_stamp() >> 32
    ours, strangers = {topmost}, {0, 1}
    pid = os.getpid()
    while pid not in ours | strangers:
        ours.add(pid)
        pid = _parent_of(pid)
    for pid in pids:
        while pid not in strangers:  # each process is looked up once: 20 us
            if pid in ours:
                return True
            strangers.add(pid)
            pid = _parent_of(pid)
    return False


def _parent_of(pid: int) -> int:
    fields = _stat_fields(pid)
    return 0 if fields is None else int(fields[1])


def wait_for_end_of_parent(pid: int) -> None:
    """Wait until the parent process, which had this number, is gone: pidfd_open(2)."""
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        fd = -1
    # It may have ended before, and the number may be another process's by now.
    while os.getppid() == pid:
        if fd >= 0:
            select.select([fd], [], [])
        else:
            clock.sleep(_LOOK_INTERVAL)
    if fd >= 0:
        os.close(fd)


def move_to_another_core() -> None:
    """Have this thread go on elsewhere than on the core that it is on now.

    The scheduler leaves two processes on one core that both seem to work, though one
    waits for the other. What it may use stays as it was.
    """
    try:
        allowed = os.sched_getaffinity(0)
        others = allowed - {ctypes.CDLL(None).sched_getcpu()}
        if others:
            os.sched_setaffinity(0, others)
            os.sched_setaffinity(0, allowed)
    except (AttributeError, OSError):
        pass  # then it stays


def descriptor_limit() -> int:
    """How many descriptors this process may have: getrlimit(2), RLIMIT_NOFILE."""
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 20)


def count_cores() -> int:
    """How many cores this process may use: affinity, and the quota of its cgroup."""
    from . import limits  # 1 ms that only teams need

    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = limits.cpu_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _stat_fields(pid: int) -> list[bytes] | None:
    """Fields of /proc/pid/stat from the third on; None for no such process: proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as table:
            # The command (field 2) is in parentheses and may hold anything.
            return table.read().rpartition(b")")[2].split()
    except OSError:
        return None


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/pid/stat, in clock ticks since boot: proc(5)."""
    fields = _stat_fields(pid)
    if fields is None:
        return None
    # Of a zombie, other threads may still run, and hold its mappings.
    threads = int(fields[17])
    if fields[0] == b"X" or (fields[0] == b"Z" and threads <= 1):
        return None
    return int(fields[19])
