"""Fork a sibling: a child of this process's parent, clone(2) with CLONE_PARENT.

The parent waits for it and kills it like a child that it has started itself. That
needs no help from the process that forks, which may end at any time::

      parent          asks ------------->  helper
        |  <------- number of the child      |
        |                                    | clone, CLONE_PARENT
        +----> child, a copy of the helper <-+

`os.fork` cannot do this. The C library's fork does more than the system call, and so
does `fork` here, in the child:

==========================  ======================================================
step                        otherwise
==========================  ======================================================
thread number in its        mutexes of this thread would have the helper as owner,
descriptor                  and a signal to this thread would reach the helper
list of robust mutexes      nobody would learn that their owner has died
CPython's `PyOS_AfterFork`  locks of the interpreter, and functions of
                            `os.register_at_fork`
==========================  ======================================================

The functions of pthread_atfork(3) do not run. They make locks free that other threads
hold. So only a process with a single thread may fork here, which `why_not` checks.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import platform
import signal
import sys
import threading
from typing import NamedTuple

_CLONE_PARENT = 0x8000

# asm/unistd.h: clone, set_robust_list, get_robust_list, gettid
_NUMBERS = {"x86_64": (56, 273, 274, 186), "aarch64": (220, 99, 100, 178)}


class _Calls(NamedTuple):
    clone: int
    set_robust_list: int
    get_robust_list: int
    gettid: int


def why_not() -> str:
    """Return why this process cannot fork siblings; empty if it can."""
    if not sys.platform.startswith("linux") or platform.machine() not in _NUMBERS:
        return f"not on {sys.platform}, {platform.machine()}"
    try:
        if _thread_number().value != os.getpid():
            return "the C library has another thread descriptor"
        if _robust_list() is None:
            return "there is no get_robust_list(2)"
        if len(os.listdir("/proc/self/task")) != 1:
            return "this process has several threads"
    except (AttributeError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def fork() -> int:
    """Fork a sibling; return its number, and 0 in the sibling.

    Call it in the main thread, and only if `why_not` is empty.

    Raises
    ------
    OSError
        The system refuses: too many processes, or no clone(2) with CLONE_PARENT.
    """
    calls, call = _calls(), _syscall()
    thread, robust = _thread_number(), _robust_list()
    assert robust is not None, "`why_not` is empty"
    before, after_in_parent, after_in_child = _hooks()
    flags = _CLONE_PARENT | signal.SIGCHLD
    collects = gc.isenabled()
    # Between the hooks, CPython 3.13 holds a lock that nothing else may need.
    gc.disable()
    before()
    pid = int(call(calls.clone, flags, 0, 0, 0, 0))
    code = ctypes.get_errno()
    if pid == 0:
        # First: what follows may use mutexes.
        thread.value = int(call(calls.gettid, 0, 0, 0, 0, 0))
        call(calls.set_robust_list, *robust, 0, 0, 0)
        after_in_child()
        threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
    else:
        after_in_parent()
    if collects:
        gc.enable()
    if pid < 0:
        raise OSError(code, os.strerror(code))
    return pid


@functools.cache
def _calls() -> _Calls:
    return _Calls(*_NUMBERS[platform.machine()])


@functools.cache
def _syscall() -> ctypes._NamedFuncPointer:
    # PyDLL keeps the GIL: no other code may run in the middle of a fork.
    call = ctypes.PyDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_long] * 6
    return call


@functools.cache
def _hooks() -> tuple[ctypes._NamedFuncPointer, ...]:
    names = "PyOS_BeforeFork", "PyOS_AfterFork_Parent", "PyOS_AfterFork_Child"
    found = tuple(getattr(ctypes.pythonapi, name) for name in names)
    for function in found:
        function.restype, function.argtypes = None, []
    return found


@functools.cache
def _thread_number() -> ctypes.c_int:
    """Return the thread number of this thread in glibc's descriptor, to be written.

    glibc 2.34 and later tell debuggers its place: bits, count, offset.
    """
    library = ctypes.CDLL("libc.so.6")
    field = (ctypes.c_uint32 * 3).in_dll(library, "_thread_db_pthread_tid")
    bits, count, offset = field
    if (bits, count) != (32, 1):
        raise ValueError("the thread number is no number of 32 bits")
    myself = library.pthread_self
    myself.restype, myself.argtypes = ctypes.c_size_t, []
    return ctypes.c_int.from_address(myself() + offset)


@functools.cache
def _robust_list() -> tuple[int, int] | None:
    """Return address and length of this thread's list of robust mutexes."""
    head, length = ctypes.c_size_t(), ctypes.c_size_t()
    addresses = ctypes.addressof(head), ctypes.addressof(length)
    if _syscall()(_calls().get_robust_list, 0, *addresses, 0, 0) != 0:
        return None
    return head.value, length.value
