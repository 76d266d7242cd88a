"""Advice to the system about the pages under a view: madvise(2)."""

from __future__ import annotations

import errno
import os
from typing import Literal

from ..errors import AccessError, StorageError, explain
from ..names import quote
from ..system import advising, huge_pages, mappings
from .root import Root

Advice = Literal["normal", "random", "sequential", "willneed", "dontneed", "huge"]
_HUGE_REFUSED = (
    "this system has no huge pages for this file; run `sharray doctor`, which says how "
    "to get them"
)
_NONE_FREE = (
    "no huge page is free now, as memory is in small pieces or nearly used up; end "
    "programs that use much memory, and try again"
)
_TOO_MANY_RANGES = (
    "too many parts of memory have an advice of their own; give one advice about a "
    "larger view, or raise the limit (sysctl vm.max_map_count)"
)


def advise(root: Root, low: int, high: int, advice: Advice) -> None:
    """Give advice about a range of a mapped file; see `SharedArray.advise`.

    Parameters
    ----------
    root : Root
        The mapping.
    low, high : int
        First byte of the range in the file, and the byte after the last.
    advice : str
        Name of the advice.
    """
    if advice not in advising.NAMES:
        names = ", ".join(map(repr, advising.NAMES))
        raise ValueError(f"expected one of {names} as advice, got {advice!r}")
    if low == high:
        return
    if advice == "dontneed":
        _refuse_loss(root, low)
    start = root.address + low
    root.segment.keepable = False  # the next user has not given the advice
    try:
        advising.advise(start, high - low, advice)
        if advice == "huge" and root.segment.volatile:
            huge_pages.collapse(start, high - low)
    except OSError as error:
        raise _explained(error, root.segment.path, advice) from error


def _refuse_loss(root: Root, low: int) -> None:
    """Refuse to drop pages that are not in the file."""
    path = root.segment.path
    if root.segment.mode == "c" or mappings.is_private_at(root.address + low):
        raise AccessError(
            f"cannot drop pages of {quote(path)}: this process has private changes "
            "there, which would be lost; delete the array, or open it again with "
            "sharray.open, to get the values of the file",
            path,
            errno.EACCES,
        )


def _explained(error: OSError, path: str, advice: str) -> StorageError:
    doing = f"give the advice {advice!r} about"
    if error.errno == errno.EINVAL and advice == "huge":
        problem = _HUGE_REFUSED
    elif error.errno == errno.EINVAL:
        problem = (
            f"this system does not know it ({os.strerror(errno.EINVAL)}); leave it out"
        )
    elif error.errno == errno.ENOMEM and advice != "huge":
        problem = _TOO_MANY_RANGES
    elif error.errno in (errno.ENOMEM, errno.EAGAIN, errno.EBUSY) and advice == "huge":
        problem = _NONE_FREE
    else:
        return explain(error, doing, path)
    return StorageError(f"cannot {doing} {quote(path)}: {problem}", path, error.errno)
