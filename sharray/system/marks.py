"""A mark that other processes of this user can see: an empty mapping with a name.

The mark lasts as long as the process. Forked children inherit it, but programs that
they start do not. No file can be left behind.
"""

from __future__ import annotations

import mmap
import os

from . import memory

_NAME = "array-messages"
_is_marked = False


def leave_mark() -> None:
    """Mark this process where the system has memfd_create(2)."""
    global _is_marked
    if _is_marked or memory.raw_mmap is None:
        return
    try:
        fd = memory.create_block(mmap.PAGESIZE, _NAME)
    except (NotImplementedError, OSError):
        return  # the process stays without a mark
    # Not with the module mmap: up to Python 3.12, its mappings keep a descriptor.
    memory.raw_mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    os.close(fd)
    _is_marked = True


def has_mark(pid: int) -> bool:
    """Return whether a process has a mark; False if this user may not look."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as table:
            return f"/memfd:{_NAME} ".encode() in table.read()
    except OSError:
        return False
