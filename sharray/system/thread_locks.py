"""Locks for threads that Ctrl-C cannot leave locked.

``with`` on a lock of `threading` is not safe in CPython 3.14 (gh-148874): signals are
looked for after the lock was acquired, and before the block begins that releases it.
`Lock` calls what acquires and releases by the two ways that leave no such gap in any
version:

- Its ``__enter__`` is a Python function, after which nothing is checked. It acquires by
  unpacking an iterator, which runs C code without the check that follows a call.
- Its ``__exit__`` is C code: a Python function would look for signals when it starts,
  before it releases.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Lock:
    """A lock whose ``with`` block always releases it.

    Parameters
    ----------
    reentrant : bool, default False
        Whether the thread that holds it may acquire it again.
    """

    __slots__ = ("__exit__", "acquire", "release")

    # Looked up in the instance: the members of a class with slots are descriptors.
    __exit__: Callable[..., None]
    acquire: Callable[..., bool]
    release: Callable[[], None]

    def __init__(self, *, reentrant: bool = False) -> None:
        lock = threading.RLock() if reentrant else threading.Lock()
        self.__exit__ = lock.__exit__
        self.acquire = lock.acquire
        self.release = lock.release

    def __enter__(self) -> None:
        (_,) = map(self.acquire, (True,))  # not a call: see above
