"""Locks for compiling and loading, which are free in a forked child.

Another thread may hold a lock when a process forks. That thread does not exist in the
child, so the lock would never be released there.
"""

from __future__ import annotations

import os

from ..system.thread_locks import Lock

# Reentrant: while a thread compiles, garbage collection may run a __del__ in it that
# calls a kernel for the first time. With a plain lock, it would wait for itself.
_compiling = Lock(reentrant=True)
_loading = Lock(reentrant=True)


def compiling() -> Lock:
    """Return the lock to hold while numba compiles a kernel.

    One is enough for all kernels, since numba compiles one function at a time.
    """
    return _compiling


def loading() -> Lock:
    """Return the lock to hold while machine code is loaded."""
    return _loading


def _renew_after_fork() -> None:
    # An at-fork handler must drop plain locks only. Dropping compiled code would wait
    # for LLVM's lock, which another thread of the parent may have held.
    global _compiling, _loading
    _compiling = Lock(reentrant=True)
    _loading = Lock(reentrant=True)


os.register_at_fork(after_in_child=_renew_after_fork)
