"""The lease: a lock that lives as long as the mapping, and decides about removal.

A process takes a shared flock on the descriptor before it maps the file. The mapping
keeps the lock after the descriptor is closed, in forked children too. The kernel lets
go of it when the last of them unmaps or dies, by SIGKILL as well. So "does anybody
still use it" is a question to the kernel, and no counter can be wrong.

::

                       attach: open, lock shared, look at the name
      no file    named, free  ------------------------->  named, leased
         ^           |   ^                                   |      ^
         |           |   +-----------------------------------+      |
         |           |         the last one unmaps or dies          |
         |           |                                              |
         |           v   reap: open, lock exclusive                 |
         |       named, locked by a reaper                          |
         |           |   |                                          |
         |           |   +---> named, free: awaited, or its name    |
         |           |         belongs to another file now          |
         +-----------+                                              |
           unlink, then close              made: locked and complete, then named

=================  ===================================  =========================
lock               holder                               for how long
=================  ===================================  =========================
flock, shared      each process with a mapping, and     until the last unmaps
                   its forked children with it
flock, exclusive   a process in `reap` or `is_held`     microseconds
byte lock          the receiver of a message: see       as long as arrays of it
                   `sharray.storage.message_states`    lie in the file
=================  ===================================  =========================

Invariants; the torture tests have mutants that break each of the first three.

- Attach: lock first, then look if the file still has a name. A reaper may have removed
  it between open and lock.
- Reap: only under the exclusive lock of the very file that the name means now. The name
  may have been given to a new file between open and lock.
- A file appears under its name complete and already leased.
- Nobody converts or unlocks a lease, except by unmapping. Forked children share it and
  would lose it too.
- Who has the exclusive lock unlocks it before closing. Children that another thread has
  forked meanwhile would keep it.

Some processes have a file mapped without a lease, and do not read it: see
`sharray.storage.kept`. A reaper frees the memory under them. Others have ended, except
for arrays that still show the memory. They have a shared lock on a byte (`show`), and
reapers leave the memory alone.

A process that is killed leaves

===============================  ================================================
killed                           left behind
===============================  ================================================
attaching, at any step           no lock: that ends with its descriptor
as a holder                      one lease less; as the last holder, a file with a
                                 name that nobody holds
reaping, before the unlink       the same file as before
reaping, after the unlink        nothing, or memory that a mapping without a lease
                                 keeps
===============================  ================================================

The next process that makes an anonymous array sweeps such a file: see
`sharray.storage.ending`. A process that is stopped, not killed, while it reaps
keeps the exclusive lock. `hold` waits `_TIMEOUT` s for it, and then raises an error.

If two processes reap the same file, the second one finds it locked and leaves it alone.
It cannot tell a reaper from a holder. So an ending process reaps each of its files, and
sweeps afterwards.

Some file systems have no flock. There nobody can hold a lease, and the question has a
third answer: unknown. Nothing unknown is ever reaped.
"""

from __future__ import annotations

from contextlib import suppress

from ...errors import BusyError
from ...names import quote
from ...system import files, interrupts, locks
from ..format import TRAILER_SIZE
from ..trailer import KEPT_WORD
from . import lost, transit

_TIMEOUT = 5.0
_SHOWN = 3 << 61  # behind each file, and the bytes that others lock


def hold(fd: int, path: str) -> None:
    """Take the lease on an open file, where there are locks; a mapping keeps it.

    Raises BusyError if another program has locked the file for itself.
    """
    if not locks.lock_shared(fd, _TIMEOUT):
        raise BusyError(
            f"cannot use {quote(path)}: another program has held an exclusive lock on "
            f"it for {_TIMEOUT:g} s; wait for it or end it (see fuser or lslocks)",
            path,
        )


def show(fd: int) -> None:
    """Tell reapers that a mapping of this open file shows its data without a lease."""
    locks.lock_byte(fd, _SHOWN, shared=True)


def is_held(fd: int) -> bool | None:
    """Tell whether somebody holds an open file; None if that cannot be told.

    Until `let_go`, whoever wants a lease waits. Call it with signals deferred.
    """
    # The lock stays: the answer holds until the caller lets go. After an unlock, some
    # other process could map the file before the caller acts.
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
        let_go(writer)


def let_go(fd: int) -> None:
    """End the exclusive lock that `is_held` may have taken, and close the file.

    To close it is not enough. If another thread has forked meanwhile, the child has the
    same open file, and nobody could use the array until the child ends.
    """
    try:
        locks.unlock(fd)
    finally:
        files.close(fd)


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
            # Not through a symbolic link, which could lead to any file of the user.
            fd = files.open_existing(path, writable=True, follow=False)
        except OSError:
            return False
        try:
            return _reap_open(fd, path, ending, dry_run)
        except OSError:
            return False  # what cannot be asked or removed stays
        finally:
            # Not before the unlink: until here, attaching processes wait for the lock,
            # and then see that the file has no name any more.
            let_go(fd)


def _reap_open(fd: int, path: str, ending: int, dry_run: bool) -> bool:
    if not locks.lock_exclusive(fd):  # held, or unknown
        return False
    # From here on nobody maps this file: all wait for the lock, or see it taken. But
    # the name may be another file's since we opened it. Its lock is not ours, and to
    # unlink would remove an array that somebody uses.
    status = files.status(fd)
    named = files.names_same_file(path, status.st_dev, status.st_ino, follow=False)
    if not files.is_regular(status) or not named:
        return False
    # Under the lock. A sender notes its handle before it unmaps, so a reaper with the
    # lock sees the note. A page that was read before the lock could lack it.
    page = files.read_at(fd, TRAILER_SIZE, max(0, status.st_size - TRAILER_SIZE))
    if len(page) == TRAILER_SIZE and transit.is_awaited(page, ending):
        return False
    if not dry_run:
        files.unlink(path)
        # After the unlink, which may fail: then nothing is lost. The open file can
        # still be read. A process that is killed in between could warn of nothing.
        if ending and len(page) == TRAILER_SIZE and transit.is_kept(page, ending):
            lost.note(fd)
        if page[KEPT_WORD * 8 :][:8].strip(b"\0"):
            _free_memory(fd)
    return True


def _free_memory(fd: int) -> None:
    """Free the memory of a removed file, which others may have mapped without use.

    A process that ended, and whose arrays still exist, uses it as long as it is there.
    Its end frees the memory.
    """
    with suppress(OSError):
        if not locks.is_byte_locked(fd, _SHOWN):
            files.cut_off(fd)
