"""The command ``sharray doctor``, which finds problems of a machine.

===========  ==============================================================
module       contents
===========  ==============================================================
`command`    the command and its output
`versions`   checks of sharray, Python, NumPy and numba
`ram`        checks of the directory for arrays in RAM, and of huge pages
`resources`  checks of memory, the memory limit and open files
`directory`  checks of a directory that the user names
`calls`      tries the system calls that a file system may lack
`trial`      shares an array with a worker process that runs a kernel on it
===========  ==============================================================

To add a check, write a function that returns a `Finding` in the module of its
subject, and call it in that module's first function, which `command` calls. Facts are
arguments of the check, so that its test can make them up.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """The severity of a finding: note (worth knowing), warning (hinders), fault."""

    OK, NOTE, WARNING, FAULT = range(4)

    @property
    def label(self) -> str:
        """Return the verdict as it is printed."""
        return self.name.lower()


@dataclass(frozen=True)
class Finding:
    """The finding of a check, why it matters, and commands that change it."""

    name: str
    verdict: Verdict
    found: str
    why: str
    commands: tuple[str, ...] = ()


def as_root(command: str) -> str:
    """Return a shell command that runs a command as root."""
    return command if os.geteuid() == 0 else f"sudo {command}"
