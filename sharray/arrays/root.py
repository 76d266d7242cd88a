"""The root array: all bytes of a mapped file, and the base of every view of it.

The chain of bases is ``view -> SharedArray -> Root -> mmap``, possibly with views of
other classes in between. Only this chain decides whether memory is shared. An attribute
could not, since copies inherit attributes as views do.

Root is not a `numpy.memmap`. If it were, joblib would take it for the map of each view,
and derive order and strides from an array of bytes.
"""

from __future__ import annotations

import os
import weakref
from typing import Any

import numpy as np

from ..errors import StorageError
from ..storage import ending, flushing, kept
from ..storage.attaching import attach
from ..storage.location import Location
from ..storage.segment import Segment
from ..system import files, finalizing, interrupts
from ..system.thread_locks import Lock
from .addresses import Addresses


class Root(np.ndarray[Any, np.dtype[np.uint8]]):
    """All bytes of one mapped file, which stays mapped as long as this lives."""

    # Only the root itself has these, not slices of it.
    segment: Segment
    address: int  # of the first byte of the mapping
    _guard: np.ndarray[Any, Any]


def root_below(array: np.ndarray[Any, Any]) -> Root | None:
    """Return the root array whose memory an array uses, or None.

    Views through other classes (masked arrays, subclasses with units, memoryviews)
    have the root of the original. Copies have none.

    Parameters
    ----------
    array : ndarray
        Any array.
    """
    base: Any = array.base
    while base is not None:
        if type(base) is Root and "segment" in base.__dict__:
            return base
        if isinstance(base, np.ndarray):
            base = base.base
        elif type(base) is memoryview:
            base = base.obj
        else:
            # This object does not name the owner of its memory (ctypes, DLPack,
            # as_strided, __array_interface__), so look up the address.
            return find_root_at(address_of(array))
    return None


def address_of(array: np.ndarray[Any, Any]) -> int:
    """Return the address of the first element of an array."""
    return int(array.__array_interface__["data"][0])


# Keys are identity and mode. Weak, so that a mapping ends with its last array. Not a
# WeakValueDictionary: its callbacks cost 1.5 us per mapping. Dead references are
# removed when there are many.
_roots: dict[tuple[bytes, str], weakref.ref[Root]] = {}
_most_roots = 64
_addresses: Addresses[Root] = Addresses()
_attaching = Lock(reentrant=True)
# Mapped arrays beyond which none is mapped in two parts: a process may have 65,530.
_MOST_KEEPABLE = 1000


def root_of(segment: Segment) -> Root:
    """Make the root array of a newly mapped segment; call this with signals deferred.

    For an anonymous segment, this also arranges its release when the root dies.
    """
    finalizing.act_for_the_dead()
    root = np.ndarray.__new__(Root, (segment.size,), np.uint8, segment.mapping)
    root.segment = segment
    root.address = segment.address()
    if segment.mode != "c":
        _remember(root)
    if segment.anonymous:
        _add_guard(root)
        # This comes last since it may import. If it raises an error, the root dies,
        # and its guard releases the segment.
        ending.keep(segment, root.address)
    return root


def flush_range(root: Root, start: int, end: int, *, wait: bool) -> None:
    """Write some bytes of a mapping to the disk, as `flushing.flush` does."""
    segment = root.segment
    try:
        flushing.flush(segment, root.address + start, start, end - start, wait=wait)
    finally:
        if segment.has_control_page:  # since a flush has failed
            with interrupts.deferred():
                look_after(root)


def refresh(root: Root) -> None:
    """Let the segment of a growable array have the rows that are complete by now."""
    segment = root.segment
    if segment.header.growing is None:
        return
    try:
        segment.refresh()
    finally:
        if segment.has_control_page and "_guard" not in root.__dict__:
            with interrupts.deferred():
                look_after(root)


def look_after(root: Root) -> None:
    """Arrange the release of a root's segment; call this with signals deferred.

    It is anonymous, or has a control page: others would find its file afterwards.
    """
    segment = root.segment
    # Under a lock: a second guard of another thread would take the place of the first,
    # whose death releases the segment.
    with _attaching:
        if "_guard" in root.__dict__:
            return
        _add_guard(root)
    ending.keep(segment, root.address)


def _add_guard(root: Root) -> None:
    # The weakref callback is on a guard and not on the root. In a cycle, garbage
    # collection calls weakref callbacks before any __del__, which may still read the
    # array. It does not track a plain ndarray, so the guard dies only when nothing can
    # read the array any more.
    root._guard = np.empty(0, np.uint8)
    finalizing.at_death(root._guard, ending.release, root.segment)


def _remember(root: Root) -> None:
    global _most_roots
    _roots[root.segment.identity, root.segment.mode] = weakref.ref(root)
    _addresses.add(root, root.address, root.segment.size)
    if len(_roots) > _most_roots:
        # A list of the items would create tuples, which can run garbage collection.
        for key in list(_roots):
            reference = _roots.get(key)
            if reference is not None and reference() is None:
                _roots.pop(key, None)
        _most_roots = 2 * len(_roots) + 64


def find_root(identity: bytes, mode: str) -> Root | None:
    """Return the root of a file that this process has already mapped, or None."""
    reference = _roots.get((identity, mode))
    return None if reference is None else reference()


def is_any_mapped() -> bool:
    """Tell whether this process has or had a file mapped that others can open."""
    return bool(_roots)


def find_root_at(address: int) -> Root | None:
    """Return the root whose memory contains an address, or None."""
    return _addresses.find(address)


def attach_root(place: Location, mode: str, identity: bytes) -> Root:
    """Map the file that a handle names, once for all threads, and return its root."""
    # In this order, so that Ctrl-C interrupts the wait for another thread.
    with _attaching, interrupts.deferred():
        root = find_root(identity, mode)
        if root is None:
            root = root_of(_attach(place, mode, identity))
            if root.segment.anonymous:
                ending.sweep_if_due(os.path.dirname(place.path))
        return root


def _attach(place: Location, mode: str, identity: bytes) -> Segment:
    keepable = kept.comes_again(identity) and ending.count_held() < _MOST_KEEPABLE
    try:
        return attach(place, mode, identity=identity, keepable=keepable)
    except StorageError as error:
        # Descriptors or addresses: the mappings that are kept have some to give.
        if not files.is_exhausted(error) or not kept.clear():
            raise
    return attach(place, mode, identity=identity)


def attach_kept_root(identity: bytes, mode: str) -> Root | None:
    """Return the root of a file whose mapping this process has kept, or None."""
    if mode != "r+" or not kept.has(identity):
        return None
    with _attaching, interrupts.deferred():
        root = find_root(identity, mode)
        if root is None:
            segment = kept.take(identity)
            root = None if segment is None else root_of(segment)
        return root


def _renew_lock_after_fork() -> None:
    # Another thread of the parent may have held it at the fork.
    global _attaching
    _attaching = Lock(reentrant=True)


os.register_at_fork(after_in_child=_renew_lock_after_fork)
