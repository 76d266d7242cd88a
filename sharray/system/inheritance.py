"""What a process that is started now inherits from this one, as a value to compare.

A helper that was started earlier can stand in for this process only if its children
inherit the same.
"""

from __future__ import annotations

import os
from collections.abc import Hashable

# /proc/thread-self/status, without what differs from moment to moment.
_STATUS = (
    *(b"Umask", b"Uid", b"Gid", b"Groups", b"SigBlk", b"SigIgn"),
    *(b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb", b"NoNewPrivs"),
    *(b"Seccomp", b"Seccomp_filters", b"THP_enabled", b"Cpus_allowed", b"Mems_allowed"),
)
_FILES = ("limits", "cgroup", "oom_score_adj", "personality")


def inherited() -> Hashable:
    """Return what the children of the calling thread inherit; None if unknown.

    That is its user, groups and privileges, its limits, cores, priority and ignored
    signals, its directory, namespaces and session. Its environment and open files are
    not part of it.
    """
    try:
        with open("/proc/thread-self/status", "rb") as table:
            lines = [line.partition(b":") for line in table.read().splitlines()]
        status = tuple(rest for name, _, rest in lines if name in _STATUS)
        names = sorted(os.listdir("/proc/thread-self/ns"))
        namespaces = tuple(os.readlink(f"/proc/thread-self/ns/{one}") for one in names)
        scheduling = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
        return (
            status,
            namespaces,
            tuple(_read(f"/proc/thread-self/{name}") for name in _FILES),
            _label(),
            (*scheduling, os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0)),
            (os.getcwd(), _identity("."), _identity("/")),
        )
    except (AttributeError, OSError):  # no Linux, no /proc, no such directory
        return None


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _label() -> bytes:
    """Return the label of a security module, such as SELinux; empty without one."""
    try:
        return _read("/proc/thread-self/attr/current")
    except OSError:
        return b""


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
