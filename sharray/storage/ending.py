"""The end of a process: it lets go of its anonymous arrays, and sweeps after others.

The kernel frees all memory that has no name. The last holder removes a file with a
name. If that holder was killed, the next process that comes along here sweeps it.

::

      running           each array: `keep` ... `release` (unmap, reap)
         |              first array, and every 60 s: `sweep_if_due`
         |  multiprocessing's finalizers, or atexit
         v
      1. queued deaths   finalizers that an interrupt has kept back
      2. acts of at_end  messages: names removed, files given back; kept
                         mappings go
      3. each array      another mapping in its place: lease gone; reap
      4. forget          `_held` is empty
      5. sweep           each directory in which this process had arrays
      6. warn            of pickles that nobody has opened
         |
         v
      ended              the kernel unmaps the rest

Step 3 replaces each mapping by one without a lease, at the same address. Arrays that
still exist show the same memory until the process is gone.

===================  ==========================================================
state                writer
===================  ==========================================================
`_held`              `keep`, `release`, `forget`, and the end
`_before_end`        modules that keep files of their own, when imported
`_used_directories`  `watch`; the end, for children that sent and were not heard
`_watched_pid`       the process itself; 0 in a forked child, and after an end
===================  ==========================================================

All of this is memory of one process. The protocol between processes is the lease, and
the notes of handles on their way: see `lease` and `transit` in `lifetime`.

Invariants

- An array in `_held` is mapped here, and its finalizer is still to come.
- The end runs with signals deferred. It may run twice, and the second time does only
  what has been added since.
- A process removes only files that nobody holds, its own as well as others'.
- A topmost process waits for no handle of its own family. Other processes do: their
  parent may still open what they have sent.

A process that is killed leaves

=====================  ========================================================
killed                 left behind
=====================  ========================================================
before its end         files with names; the kernel has dropped the leases
after step 2           the same, but held messages have no name, and go at once
in step 3, at the nth  the first n - 1 are gone, the others are left
in step 5              other processes' remains, as if this one had not come
=====================  ========================================================

The next process that makes an anonymous array there sweeps those files. Files that
carry handles on their way go once `transit.is_awaited` passes over the handles.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

from ..errors import SharrayError
from ..system import clock, finalizing, interrupts, processes, remapping
from . import control_page, kept, location, naming
from .lifetime import lease, lost
from .segment import Segment

_SWEEP_INTERVAL = 60.0
_AFTER_ALL_OTHERS = -1000

# By id: each anonymous segment that is mapped here, and those with a control page.
_held: dict[int, Segment] = {}
_ended_by_acts: set[int] = set()  # ids of those that a function of `at_end` lets go
_before_end: list[Callable[[], None]] = []
_used_directories: set[str] = set()
_next_sweep = 0.0
_watched_pid = 0
_has_forked = False
_told_of_forks: set[str] = set()  # multiprocessing's modules


def keep(segment: Segment, address: int | None) -> None:
    """Look after a segment until `release`, or the end.

    It is anonymous, or has a control page. Without an address, the caller has said
    `at_end` what is to be done then.
    """
    if address is None:
        _ended_by_acts.add(id(segment))
    _held[id(segment)] = segment
    if segment.anonymous:
        _used_directories.add(segment.path.rpartition("/")[0])
    if _watched_pid != os.getpid():
        _watch_end()


def watch(directory: str) -> None:
    """Note that this process has arrays in a directory, which its end will sweep."""
    _used_directories.add(directory)
    _watch_end()


def sweep_if_due(directory: str) -> None:
    """Sweep a directory for arrays that killed processes have left, once a minute.

    A process calls it when it has made or opened an anonymous array, or received a
    message, and after `keep` or `watch`: the sweep passes over the files that this
    process holds. The end and `sharray.gc` sweep as well. Arrays with a name cause no
    sweep.
    """
    global _next_sweep
    now = clock.monotonic()
    if now >= _next_sweep:
        _next_sweep = now + _SWEEP_INTERVAL
        sweep(directory)
        control_page.sweep()


def at_end(act: Callable[[], None]) -> None:
    """Have something done when the process ends, before what `end` does."""
    _before_end.append(act)


def forget(segment: Segment) -> None:
    """Look after it no more; it is another process's."""
    _drop(segment)


def leave_to_end(segment: Segment) -> None:
    """Let `end` treat it as an array that still exists; an act of `at_end` did not."""
    _ended_by_acts.discard(id(segment))


def release(segment: Segment) -> None:
    """Nothing uses the segment any more here; call it with signals deferred."""
    # First: the end must not put another mapping where this one has been.
    _drop(segment)
    if not kept.keep(segment):
        segment.release()


def _drop(segment: Segment) -> None:
    _held.pop(id(segment), None)
    _ended_by_acts.discard(id(segment))


def count_held() -> int:
    """Return the number of anonymous segments that this process holds."""
    return len(_held)


def sweep(directory: str, *, ending: int = 0, dry_run: bool = False) -> list[str]:
    """Remove the anonymous arrays in a directory that nobody holds.

    Returns the paths that were removed, or with `dry_run` would have been.
    """
    finalizing.act_for_the_dead()
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    # What this process holds, nobody may remove: there is no need to ask the kernel.
    held = {segment.path for segment in list(_held.values())}
    paths = [os.path.join(directory, name) for name in sorted(names)]
    return [
        path
        for path in paths
        if path not in held and lease.reap(path, ending=ending, dry_run=dry_run)
    ]


def sweep_unfinished(*, dry_run: bool = False) -> list[str]:
    """Remove what killed processes were about to name ``shm://...``.

    Returns the paths that were removed, or with `dry_run` would have been.
    """
    found = [
        os.path.join(top, name)
        for top, _, names in os.walk(location.ram_directory())
        for name in names
        if name.startswith(".") and name.endswith(naming.UNFINISHED)
    ]
    return [path for path in found if lease.reap(path, dry_run=dry_run)]


def _watch_end() -> None:
    """Have multiprocessing call `end`, besides atexit.

    Forked workers leave by os._exit and run no atexit functions, nor finalizers
    of `weakref`; multiprocessing's own are run in all of them. In the process that
    started them they run after the workers have ended, which atexit functions
    registered before multiprocessing was imported do not.
    """
    global _watched_pid
    pid = os.getpid()
    if _watched_pid == pid:
        return
    import_module("multiprocessing.util")  # 5 ms that not every program needs
    # multiprocess is a copy of multiprocessing, with workers of its own.
    for name in ("multiprocessing.util", "multiprocess.util"):
        util = sys.modules.get(name)
        if util is None:
            continue
        if name not in _told_of_forks:  # a fork inherits that
            _told_of_forks.add(name)
            util.register_after_fork(_watch_end_anew, lambda watch: watch())
        # With a priority below 0: after multiprocessing has joined its children. These
        # may still hold arrays of this process, and send others.
        util.Finalize(None, end, exitpriority=_AFTER_ALL_OTHERS)
    _watched_pid = pid  # last: after an interrupt, all of it is done once more


def _watch_end_anew() -> None:
    """Register again what multiprocessing forgets when a child begins.

    Which is after it has unpickled what it is to do, if that is not inherited.
    """
    global _watched_pid
    _watched_pid = 0
    _watch_end()


def end() -> None:
    """Let go of all anonymous arrays, whether objects still refer to them or not.

    Runs when the interpreter ends, possibly twice: arrays stay usable even for
    what runs later, and workers that still held them may have ended meanwhile.
    """
    with interrupts.deferred():  # nobody would do the rest
        _end()


def _end() -> None:
    # First the arrays that are gone: their finalizers unmap them. The loop below would
    # only put other mappings in their places.
    finalizing.act_for_the_dead()
    ending = processes.own_stamp() if processes.is_topmost() else 0
    # Before the sweep, which leaves alone the files that this process holds: these acts
    # give back the files of messages, and remove the names of those still in use.
    for act in _before_end:
        with suppress(OSError):
            act()
    kept.clear()
    descriptors = remapping.descriptors_of_mappings() if _held else {}
    # One by one: a daemon thread may still add arrays, and drop others. And before the
    # sweep, which passes over files of `_held`. The sweep is the second chance for
    # those that another process was just asking about, so that `let_go` found a lock.
    for key in list(_held):
        segment = _held.pop(key, None)
        if segment is not None and key not in _ended_by_acts:
            with suppress(OSError):
                segment.let_go(ending=ending, descriptors=descriptors)
    _ended_by_acts.clear()
    if _may_have_children():
        with suppress(SharrayError):  # what a child has sent and nobody received
            _used_directories.add(location.anonymous_directory())
    for directory in list(_used_directories):
        sweep(directory, ending=ending)
        location.tidy_ram_directories(directory)
    lost.warn()  # after the sweep, which removes files with unopened handles as well
    # Programs may run multiprocessing's finalizers before their end, as CPython's tests
    # do. Arrays that come after that are waited for again.
    global _watched_pid
    _watched_pid = 0


def _may_have_children() -> bool:
    """Tell whether relatives of this process may have arrays that it has not.

    One that has only looked at arrays, as ``sharray ls`` does, removes nothing.
    """
    return _has_forked or any(
        name in sys.modules for name in ("multiprocessing.util", "multiprocess.util")
    )


def _note_fork() -> None:
    global _has_forked
    _has_forked = True


def _end_at_exit() -> None:
    if _watched_pid != os.getpid():
        end()


# Both register at exit what the other has to precede: multiprocessing waits there
# for children that may still be opening arrays. If it is here, it calls `end`; if
# it is imported later, it runs before us.
if "multiprocessing.util" in sys.modules:
    _watch_end()
atexit.register(_end_at_exit)
os.register_at_fork(before=_note_fork)
