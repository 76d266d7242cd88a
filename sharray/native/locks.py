"""The locks of this package, which a fork leaves free in the child.

Another thread may hold one when a process forks. It does not exist in the child, so
nobody there would ever release it.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager

# Reentrant: garbage collection may run a __del__ that calls a kernel for the first
# time, in the thread that is compiling. It would wait for itself.
_compiling = threading.RLock()
_loading = threading.RLock()


def compiling() -> AbstractContextManager[bool]:
    """Return the lock to hold while numba compiles a kernel.

    One is enough for all kernels, since numba compiles one function at a time.
    """
    return _compiling


def loading() -> AbstractContextManager[bool]:
    """Return the lock to hold while machine code is loaded."""
    return _loading


def _renew_after_fork() -> None:
    # An at-fork handler runs no finalizer of anything but these plain locks: compiled
    # code would wait here for LLVM's lock, which another thread may have held.
    global _compiling, _loading
    _compiling = threading.RLock()
    _loading = threading.RLock()


os.register_at_fork(after_in_child=_renew_after_fork)
