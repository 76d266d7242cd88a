"""The pipes and sockets that processes have open."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import NamedTuple

from . import mappings, processes


class OpenChannels(NamedTuple):
    """Pipes and sockets that processes have open.

    Attributes
    ----------
    numbers : set of int
        Their inode numbers.
    is_complete : bool
        False if this user may not list the descriptors of a process of this family.
    """

    numbers: set[int]
    is_complete: bool

    def may_have(self, channel: int) -> bool:
        """Return whether a process may still read from a channel."""
        return channel in self.numbers or not self.is_complete


def find() -> OpenChannels:
    """Return the pipes and sockets that processes have open: proc(5).

    Processes of other users only matter if they descend from this family. A process
    that has changed its user can read a message, but its pipes cannot be listed.
    """
    found, hidden = set(), []
    for pid in mappings.all_processes():
        directory = f"/proc/{pid}/fd"
        try:
            names = os.listdir(directory)
        except PermissionError:
            hidden.append(pid)
            continue
        except OSError:  # it has ended
            continue
        for name in names:
            with contextlib.suppress(OSError):
                target = os.readlink(f"{directory}/{name}")
                if target.startswith(("pipe:[", "socket:[")):
                    found.add(int(target[target.index("[") + 1 : -1]))
    return OpenChannels(found, not processes.has_relatives(hidden))


@functools.cache
def namespace() -> int:
    """Return the number of this process's PID namespace; 0 if unknown.

    A process in a container does not see the pipes of processes outside of it.
    """
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
