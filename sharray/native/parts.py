"""The part of a run that a thread works on, for machine code and for Python.

Three words say it: the number of the member, the number of members, and the index at
which the part begins. A key of pthreads leads each thread to its own words::

                                  +-- entry of a kernel ---+
      no words:  0, 1, 0  ------> | words on its own stack | ------> as before
                                  +------------------------+
           |                             ^
           | `words_here`                |  the kernel calls Python, which
           v                             |  calls another kernel
      words of the thread  --------------+

==============  ==========================  ===================================
memory          writer                      readers
==============  ==========================  ===================================
the key         once in each process        entries, kernels, `word`
pointer of the  the entry, which restores   kernels, `word`: of this thread only
thread          it; `words_here`
words           the entry; whoever called   kernels, `word`: of this thread only
                `words_here`
==============  ==========================  ===================================

Machine code finds the key by the names in `SYMBOLS`. There are two, for one address:
code that depends only on the number of members uses the second. So the compiler can
tell whether code depends on the part.

Invariants

- The pointer is null, or leads to words that exist: on the stack of an entry that has
  not returned, or those of the thread. The latter are never freed. Python may forget a
  thread of C before it ends, and a thread may end within an entry.
- A key stays valid in a fork, and so do the words of the thread that forked.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

MEMBER, MEMBERS, OFFSET = 0, 1, 2
OUTSIDE = (0, 1, 0)  # the words of a thread that is in no run
OF_PART, OF_RUN = "sharray_part_key", "sharray_members_key"
SYMBOLS = (OF_PART, OF_RUN)

_Words = ctypes.c_int64 * 3
_kept: list[Any] = []


class _Keys:
    """The key, and the functions that use it."""

    def __init__(self) -> None:
        # With the GIL: a call takes less time than to release it.
        library = ctypes.PyDLL(None)
        self.get, self.set = library.pthread_getspecific, library.pthread_setspecific
        self.get.argtypes, self.get.restype = [ctypes.c_uint32], ctypes.c_void_p
        self.set.argtypes = [ctypes.c_uint32, ctypes.c_void_p]
        self.key = ctypes.c_uint32()
        error = library.pthread_key_create(ctypes.byref(self.key), None)
        if error:
            raise OSError(error, "no key of pthreads is left; load fewer libraries")


@functools.cache
def _keys() -> _Keys:
    return _Keys()


def key_address() -> int:
    """Return the address of the key."""
    return ctypes.addressof(_keys().key)


def word(index: int) -> int:
    """Return a word of the part that this thread works on.

    Examples
    --------
    >>> word(MEMBERS)
    1
    """
    keys = _keys()
    address = keys.get(keys.key)
    return OUTSIDE[index] if not address else _Words.from_address(address)[index]


def words_here() -> Any:
    """Return the words of this thread, which Python may change.

    Set them before a call of a function that belongs to a part, and restore what they
    were after it.
    """
    keys = _keys()
    address = keys.get(keys.key)
    if address:
        return _Words.from_address(address)
    words = _Words(*OUTSIDE)
    _kept.append(words)  # first, since the pointer does not keep them
    keys.set(keys.key, ctypes.addressof(words))
    return words
