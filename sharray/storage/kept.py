"""Kept mappings: a process that drops an array keeps its mapping for the next handle.

To map a file, to touch its pages and to unmap it takes several times as long as to
open it. So a process that has opened an anonymous array by a handle, for the second
time, keeps the mapping when the last view is gone. It gives up the lease, so that it
counts no more as a holder, and the last holder still frees the memory at once. Arrays
that come once, such as results, cost nothing more.

A mapping and a lease are separate for this: the first page is mapped by an open file
that has the lock, all others by one that has none. Without the first page, the mapping
has no lease::

        attach: lock; map unlocked; map first page locked; say KEPT
       (none)  ---------------------------------------------------->  in use
                                                                      |    ^
                         release: put nothing in the first page       |    |
                                                                      v    |
       (none)  <----------------------------------------------------  kept |
         too many, or the file is gone: unmap                           |  |
                                                                        +--+
                      take: open, lock, look at the name; map first page locked

============  =========================  =======================================
state         addresses of the mapping   may touch the memory
============  =========================  =======================================
in use        the file, and the lease    every view
kept          nothing, then the file     nobody
============  =========================  =======================================

Who removes a file of which somebody has said KEPT cuts it off to nothing, under the
exclusive lock. Else a kept mapping elsewhere would keep the memory, for as long as that
process has nothing to do.

Invariants; the torture tests have mutants that break them.

- KEPT is in the file before a lease can end without its mapping. A reaper with the
  lock sees the word.
- Nobody uses a kept mapping without the lease, and not before a look at the name, as
  when a file is opened: a reaper may have cut the file off.
- The file that has the name is the one that is mapped. Device and inode tell it: as
  long as a file is mapped, no other one gets its inode.
- An array that exists although its process has ended has no lease. `lease.show` tells
  reapers, which then remove the name only.
- What is taken out of `_kept` belongs to who took it.

A process that is killed leaves no kept mapping. A reaper that is killed between unlink
and cutting off leaves the memory to the processes that have kept a mapping: until they
have mapped as many other arrays, call `sharray.gc`, or end.

The limits: a kept mapping costs page tables, 1/512 of its size, addresses, and a
descriptor where the mmap object has one. So a process keeps the `most` that were used
last, of together no more bytes than `processes.spare_addresses`.
"""

from __future__ import annotations

from contextlib import suppress

from ..errors import StorageError
from ..system import files, forks, interrupts, processes
from .lifetime import lease
from .segment import Segment

_MOST = 64
_PART_OF_DESCRIPTORS = 8

# By identity, the one longest unused first.
_kept: dict[bytes, Segment] = {}
# Identities of arrays that were opened, the oldest first. As many as may be kept: who
# opens more of them in turn would only pay for mappings that are gone by the next time.
_opened: dict[bytes, None] = {}
# On their way into `_kept` or out of it. If a thread forks meanwhile, the child unmaps
# them.
_moving: dict[int, Segment] = {}


def most() -> int:
    """Return how many mappings a process keeps."""
    return min(_MOST, processes.descriptor_limit() // _PART_OF_DESCRIPTORS)


def comes_again(identity: bytes) -> bool:
    """Note that a file is opened; return whether it was opened before."""
    if identity in _opened:
        return True
    _opened[identity] = None
    while len(_opened) > most():
        with suppress(StopIteration, RuntimeError):  # other threads change it, too
            _opened.pop(next(iter(_opened)), None)
    return False


def has(identity: bytes) -> bool:
    """Tell whether `take` may find a mapping."""
    return identity in _kept


def keep(segment: Segment) -> bool:
    """Keep the mapping of a segment that nothing uses here; return False if not.

    Call it with signals deferred. Garbage collection calls it, anywhere: it takes no
    lock that others wait for.
    """
    is_keepable = segment.keepable and segment.anonymous
    if not is_keepable or segment.size > processes.spare_addresses():
        return False
    _moving[id(segment)] = segment
    try:
        if not segment.give_up_lease():
            return False
        # Another thread may have mapped the same file again, and dropped it.
        if _kept.setdefault(segment.identity, segment) is not segment:
            segment.unmap()
    finally:
        _moving.pop(id(segment), None)
    _trim()
    if lease.reap(segment.path):  # this process was the last holder
        drop(segment.identity)
    return True


def take(identity: bytes) -> Segment | None:
    """Return the segment of a file, with a lease again; None if none is kept.

    Call it with signals deferred. The file may be gone meanwhile: then the mapping is
    as well, and `attach` raises the error.
    """
    segment = _kept.pop(identity, None)
    if segment is None:
        return None
    _moving[id(segment)] = segment
    try:
        if _lease_again(segment):
            return segment
        segment.unmap()
        return None
    finally:
        _moving.pop(id(segment), None)


def _lease_again(segment: Segment) -> bool:
    path = segment.path
    try:
        fd = files.open_existing(path, writable=True, follow=False)
    except OSError:
        return False
    try:
        # In this order, as in `attach`: a reaper may have removed the file before.
        lease.hold(fd, path)
        status = files.status(fd)
        if not segment.is_of(status) or not files.has_name(status, path):
            return False
        segment.renew_lease(fd)
        return True
    except (OSError, StorageError):
        return False
    finally:
        files.close(fd)


def drop(identity: bytes) -> None:
    """Unmap a kept file, if it is there; call it with signals deferred."""
    segment = _kept.pop(identity, None)
    if segment is not None:
        segment.unmap()


def clear() -> bool:
    """Unmap all kept files; return whether there were any."""
    found = bool(_kept)
    with interrupts.deferred():
        _drop_all()
    return found


def _drop_all() -> None:
    while _kept:
        with suppress(StopIteration, RuntimeError):  # others take some out, too
            drop(next(iter(_kept)))


def _trim() -> None:
    while len(_kept) > most() or sum(_sizes()) > processes.spare_addresses():
        with suppress(StopIteration, RuntimeError):
            drop(next(iter(_kept)))


def _sizes() -> list[int]:
    return [segment.size for segment in list(_kept.values())]


def _after_fork_in_child() -> None:
    # The parent goes on with these. Here they are addresses without a use.
    inherited = _moving | {id(segment): segment for segment in _kept.values()}
    _moving.clear()
    _kept.clear()
    for segment in inherited.values():
        segment.unmap()


forks.at_fork(after_in_child=_after_fork_in_child)
