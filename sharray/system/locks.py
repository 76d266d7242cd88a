"""Locks that the kernel takes back when their holder is gone: flock(2).

A lock belongs to the open file description, and a mapping holds on to that:
it lasts, with no descriptor open, until the last process unmaps or dies.
"""

from __future__ import annotations

import errno
import fcntl
import time

_UNSUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_LONGEST_PAUSE = 0.01


def lock_shared(fd: int, timeout: float) -> bool:
    """Take a shared lock; False if another program kept it for `timeout` s.

    True also where the file system has no locks: only files in our own RAM
    directory depend on them.
    """
    deadline = None
    pause = 0.00005
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return True
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        # A wait in the kernel could not be given up, so ask again instead;
        # whoever reaps a file holds it for microseconds only.
        now = time.monotonic()
        if deadline is None:
            deadline = now + timeout
        if now >= deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def lock_exclusive(fd: int) -> bool:
    """Take the lock if nobody else has one; False otherwise, at once."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
