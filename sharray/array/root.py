"""The root array: all bytes of a mapped file, the base of every view of it.

The chain of bases is ``view -> SharedArray -> Root -> mmap``, with views of other
classes in between where there are any. Whether memory is shared follows from this
chain alone, never from an attribute that views and copies inherit alike.

Root is no `numpy.memmap`: joblib would take it for the map of each view, and derive
order and strides from an array of bytes.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from typing import Any

import numpy as np

from ..storage.attaching import attach
from ..storage.lifetime import ending
from ..storage.location import Location
from ..storage.segment import Segment
from ..system import finalizing, interrupts
from .addresses import Addresses


class Root(np.ndarray[Any, np.dtype[np.uint8]]):
    """All bytes of one mapped file; as long as it lives, the mapping does."""

    segment: Segment  # of the root itself, not of slices of it
    _guard: np.ndarray[Any, Any]

    @functools.cached_property
    def address(self) -> int:
        """Where the mapping begins in memory."""
        return address_of(self)


def root_below(array: np.ndarray[Any, Any]) -> Root | None:
    """Return the root array whose memory an array borrows, if there is one.

    Views through other classes (masked arrays, subclasses with units, memoryviews)
    keep it, copies do not.

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
            # Lent by an object that does not tell where it has it from: ctypes,
            # DLPack, as_strided, an __array_interface__. The address tells.
            return find_root_at(address_of(array))
    return None


def address_of(array: np.ndarray[Any, Any]) -> int:
    """Where the first element of an array is in memory."""
    return int(array.__array_interface__["data"][0])


# By identity and mode. Weak: a mapping ends with its last array. Not a
# WeakValueDictionary, whose callbacks cost each mapping 1.5 us; what is dead is
# cleared away when there is much of it.
_roots: dict[tuple[bytes, str], weakref.ref[Root]] = {}
_most_roots = 64
_addresses: Addresses[Root] = Addresses()
_attaching = threading.RLock()


def root_of(segment: Segment) -> Root:
    """The root array of a segment that was just mapped; call it with signals deferred.

    What is done for an anonymous segment when its root dies belongs to the root.
    """
    finalizing.act_for_the_dead()
    root = np.ndarray.__new__(Root, (segment.size,), np.uint8, segment.mapping)
    root.segment = segment
    if segment.mode != "c":
        _remember(root)
    if segment.anonymous:
        # Not of the root itself: garbage collection runs what waits for an object
        # before any __del__ of the same cycle, which may still read the array. An
        # ndarray it does not know, and that dies when nothing can read any more.
        root._guard = np.empty(0, np.uint8)
        finalizing.at_death(root._guard, functools.partial(ending.release, segment))
        # After that, as it looks at other files: an error there ends the root.
        ending.keep(segment, root.address)
    return root


def _remember(root: Root) -> None:
    global _most_roots
    _roots[root.segment.identity, root.segment.mode] = weakref.ref(root)
    _addresses.add(root, root.address, root.segment.size)
    if len(_roots) > _most_roots:
        # Not of the items: to make a list of those can run garbage collection.
        for key in list(_roots):
            reference = _roots.get(key)
            if reference is not None and reference() is None:
                _roots.pop(key, None)
        _most_roots = 2 * len(_roots) + 64


def find_root(identity: bytes, mode: str) -> Root | None:
    """The root of a file that this process has mapped already."""
    reference = _roots.get((identity, mode))
    return None if reference is None else reference()


def is_any_mapped() -> bool:
    """Whether this process has, or has had, a file mapped that others can open."""
    return bool(_roots)


def find_root_at(address: int) -> Root | None:
    """The root whose memory an address lies in, if there is one."""
    return _addresses.find(address)


def attach_root(place: Location, mode: str, identity: bytes) -> Root:
    """Map the file that a handle names, once for all threads."""
    # In this order, so that Ctrl-C ends the wait for another thread.
    with _attaching, interrupts.deferred():
        root = find_root(identity, mode)
        if root is None:
            root = root_of(attach(place, mode, identity=identity))
        return root


def _renew_lock_after_fork() -> None:
    # Another thread of the parent may have held it.
    global _attaching
    _attaching = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock_after_fork)
