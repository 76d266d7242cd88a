"""Locks that the kernel releases when their holder ends.

flock(2) locks a whole file. Open file description locks, fcntl(2), lock bytes of it.
The two kinds do not affect each other. Both belong to the open file description, which
a mapping keeps: they last without a descriptor until the last process unmaps or ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress
from functools import partial

from . import clock, interrupts
from .optional import is_unsupported

_LONGEST_PAUSE = 0.01
# struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid.
_FLOCK = struct.Struct("hhqqi4x")


def lock_shared(fd: int, timeout: float) -> bool:
    """Take a shared lock; return False if it was taken for all of `timeout` s.

    Return True where the file system has no locks, too. There, `lock_exclusive`
    returns None, so nobody takes the file for unused.
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
        # A wait in the kernel has no timeout, so try again instead. A process that
        # removes unused files holds the lock for microseconds only.
        if waited >= timeout:
            return False
        clock.sleep(pause)
        interrupts.check()  # callers that lock new files have signals deferred
        waited += pause
        pause = min(2 * pause, _LONGEST_PAUSE)


def lock_exclusive(fd: int) -> bool | None:
    """Take the exclusive lock if nobody else has a lock, without waiting.

    Returns
    -------
    bool or None
        True if this open file has the lock now; False if another one has a lock;
        None if the file system has no locks. Before removing a file, treat None as
        False: the file may be in use.
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
    # EACCES: a security module forbids locks. A lock that another holds is EAGAIN.
    return is_unsupported(error, errno.EACCES)


def unlock(fd: int) -> None:
    """Release the lock of this open file, which a mapping of it would keep."""
    with suppress(OSError):  # the file system has no locks
        fcntl.flock(fd, fcntl.LOCK_UN)


def has_byte_locks() -> bool:
    """Return whether this platform has locks on bytes that a mapping keeps."""
    return hasattr(fcntl, "F_OFD_SETLK")


def lock_byte(fd: int, offset: int, *, shared: bool = False) -> bool:
    """Lock one byte, without waiting, for as long as this open file lasts.

    An exclusive lock needs a file that is open for writing. A lock that this open file
    has on the byte changes its kind.

    Returns
    -------
    bool
        False if somebody has locked it through another open file. A lock that this one
        has stays as it is.
    """
    try:
        _set_lock(fd, fcntl.F_RDLCK if shared else fcntl.F_WRLCK, offset)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


class ByteLock:
    """An exclusive lock on one byte of an open file, for calls that must be fast.

    Parameters
    ----------
    fd : int
        The file, open for writing.
    offset : int
        The byte, which need not be there.

    Attributes
    ----------
    fd : int
        The file.
    acquire_now, acquire, release : callable
        Take the lock, or raise an OSError with EAGAIN; wait for it; let go of it. They
        are C code: ``finally: lock.release()`` is done even if Ctrl-C arrives there.
        To let go of a lock that is not held is a no-op.

    Notes
    -----
    `acquire` waits in the kernel, which serves waiters in turn. So it does not wait in
    `sharray.system.interrupts.slices`: to try again and again made the longest wait for
    a busy lock several times as long. If Ctrl-C comes just before it sleeps, and the
    holder is stopped, press Ctrl-C again.
    """

    __slots__ = ("acquire", "acquire_now", "fd", "release")

    def __init__(self, fd: int, offset: int) -> None:
        self.fd = fd
        lock = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
        unlock = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, offset, 1, 0)
        self.acquire_now = partial(fcntl.fcntl, fd, fcntl.F_OFD_SETLK, lock)
        self.acquire = partial(fcntl.fcntl, fd, fcntl.F_OFD_SETLKW, lock)
        self.release = partial(fcntl.fcntl, fd, fcntl.F_OFD_SETLK, unlock)


def unlock_byte(fd: int, offset: int) -> None:
    """Release the lock on one byte, also for forked processes with this open file."""
    _set_lock(fd, fcntl.F_UNLCK, offset)


def is_byte_locked(fd: int, offset: int) -> bool:
    """Return whether another open file has a lock on one byte."""
    request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, request)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _set_lock(fd: int, kind: int, offset: int) -> None:
    request = _FLOCK.pack(kind, os.SEEK_SET, offset, 1, 0)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
