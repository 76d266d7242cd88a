"""The lease: a lock that lives as long as the mapping, and who may remove.

A shared flock is taken on the descriptor before the file is mapped. The mapping
keeps it after the descriptor is closed, in forked children too, until the last
of them unmaps or dies, by SIGKILL as well. So "does anybody still use it" is a
question to the kernel, and no counter can be wrong.

Four rules; the torture tests have mutants that break each of the first three:

- attach: lock first, then look whether the file still has a name. Between open
  and lock, a reaper may have removed it.
- reap: only under the exclusive lock of the very file that the name means now.
  Between open and lock, the name may have been given to a new file.
- A file appears under its name complete and already leased.
- A lease is never converted nor unlocked, only unmapped: forked children share
  it and would lose it too.

Some file systems have no flock. There nobody can hold a lease, and the question has
a third answer: unknown. Nothing unknown is ever reaped.
"""

from __future__ import annotations

from ...errors import BusyError
from ...system import files, interrupts, locks
from ..format import TRAILER_SIZE
from . import lost, transit

_TIMEOUT = 5.0


def hold(fd: int, path: str) -> None:
    """Take the lease on an open file, where there are locks; a mapping keeps it.

    Raises BusyError if another program has locked the file for itself.
    """
    if not locks.lock_shared(fd, _TIMEOUT):
        raise BusyError(
            f"cannot use {path!r}: another program has held an exclusive lock on "
            f"it for {_TIMEOUT:g} s; wait for it or end it (see fuser or lslocks)",
            path,
        )


def is_held(fd: int) -> bool | None:
    """Tell whether somebody holds an open file; None if that cannot be told.

    Until `fd` is closed, whoever wants a lease waits. Call it with signals deferred.
    """
    is_free = locks.lock_exclusive(fd)
    if is_free is None:
        is_free = _ask_as_writer(fd)
    return None if is_free is None else not is_free


def _ask_as_writer(fd: int) -> bool | None:
    """NFS takes an exclusive lock only from who may write."""
    try:
        writer = files.open_existing(f"/proc/self/fd/{fd}", writable=True)
    except OSError:
        return None
    try:
        return locks.lock_exclusive(writer)
    finally:
        files.close(writer)


def reap(path: str, *, ending: int = 0, dry_run: bool = False) -> bool:
    """Remove an anonymous array's file if nobody holds it or awaits it.

    The last close and garbage collection are this same code. The caller's own
    mapping must be gone, or its lease keeps the file.

    Parameters
    ----------
    path : str
        The file; it is fine if it does not exist.
    ending : int
        See `sharray.storage.lifetime.transit.is_awaited`.
    dry_run : bool
        Only tell, and remove nothing.

    Returns
    -------
    bool
        Whether it was removed by this call, or would have been.
    """
    with interrupts.deferred():
        try:
            fd = files.open_existing(path, writable=True, follow=False)
        except OSError:
            return False
        try:
            return _reap_open(fd, path, ending, dry_run)
        except OSError:
            return False  # what cannot be asked or removed stays
        finally:
            files.close(fd)


def _reap_open(fd: int, path: str, ending: int, dry_run: bool) -> bool:
    if not locks.lock_exclusive(fd):  # held, or unknown
        return False
    status = files.status(fd)
    named = files.names_same_file(path, status.st_dev, status.st_ino, follow=False)
    if not files.is_regular(status) or not named:
        return False
    page = files.read_at(fd, TRAILER_SIZE, max(0, status.st_size - TRAILER_SIZE))
    if len(page) == TRAILER_SIZE and transit.is_awaited(page, ending):
        return False
    if not dry_run:
        if ending and len(page) == TRAILER_SIZE and transit.is_kept(page, ending):
            lost.note(fd)
        files.unlink(path)
    return True
