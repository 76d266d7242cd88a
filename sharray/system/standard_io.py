"""Standard input, output and error, which a program may have closed.

The next file that it opens gets such a number. What somebody prints, in this process or
in its children, would then be written into that file.
"""

from __future__ import annotations

import fcntl
import os

_ERROR = 2  # the last of the three


def move_beyond(fd: int) -> int:
    """Return a new descriptor, or another one for it if it is one of the three."""
    if fd > _ERROR:
        return fd
    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ERROR + 1)
    finally:
        os.close(fd)
    try:
        open_all()
    except BaseException:
        os.close(moved)
        raise
    return moved


def open_all() -> None:
    """Open the null device as those of the three that are not open."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _ERROR:
        os.set_inheritable(fd, True)
    os.close(fd)
