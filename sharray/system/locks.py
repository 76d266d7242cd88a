"""Locks that the kernel takes back when their holder is gone.

flock(2) locks a whole file; open file description locks, fcntl(2), lock bytes of
it. Neither knows of the other. Both belong to the open file description, and a
mapping holds on to that: they last, with no descriptor open, until the last
process unmaps or dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress

from . import clock, interrupts
from .optional import is_unsupported

_LONGEST_PAUSE = 0.01
# struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid.
_FLOCK = struct.Struct("hhqqi4x")


def lock_shared(fd: int, timeout: float) -> bool:
    """Take a shared lock; False if another program kept it for `timeout` s.

    True also where the file system has no locks. Nobody takes the file for free
    then: `lock_exclusive` cannot tell.
    """
    waited = 0.0
    pause = 0.00005
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if _is_missing(error):
                return True
            if error.errno != errno.EAGAIN:
                raise
        # A wait in the kernel could not be given up, so ask again instead;
        # whoever reaps a file holds it for microseconds only.
        if waited >= timeout:
            return False
        clock.sleep(pause)
        interrupts.check()  # also if signals are deferred, as for who locks new files
        waited += pause
        pause = min(2 * pause, _LONGEST_PAUSE)


def lock_exclusive(fd: int) -> bool | None:
    """Take the lock if nobody else has one, without waiting.

    Returns
    -------
    bool or None
        True if this open file has it now; False if somebody else has one; None if
        it cannot be told, since the file system has no locks. Who removes files
        must take None for False.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return False
        if _is_missing(error):
            return None
        raise
    return True


def _is_missing(error: OSError) -> bool:
    # EACCES: a security module forbids locks. A lock that is held is EAGAIN.
    return is_unsupported(error, errno.EACCES)


def unlock(fd: int) -> None:
    """Let go of the lock that this open file has, which a mapping of it would keep."""
    with suppress(OSError):  # where there are no locks, there is none
        fcntl.flock(fd, fcntl.LOCK_UN)


def has_byte_locks() -> bool:
    """Whether this platform has locks on bytes that a mapping holds."""
    return hasattr(fcntl, "F_OFD_SETLK")


def lock_byte(fd: int, offset: int) -> None:
    """Take a shared lock on one byte, for as long as this open file lasts."""
    _set_lock(fd, fcntl.F_RDLCK, offset)


def unlock_byte(fd: int, offset: int) -> None:
    """Let go of it, also for forked processes that have the same open file."""
    _set_lock(fd, fcntl.F_UNLCK, offset)


def is_byte_locked(fd: int, offset: int) -> bool:
    """Whether somebody has locked it through another open file than this one."""
    request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, request)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _set_lock(fd: int, kind: int, offset: int) -> None:
    request = _FLOCK.pack(kind, os.SEEK_SET, offset, 1, 0)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
