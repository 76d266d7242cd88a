"""A warning when arrays end whose pickles nobody has opened.

A pickle in a file looks like one on its way to another process. Only the end of the
program tells them apart. An anonymous array goes with its last holder, and a handle
that is still marked as sent is worth nothing from then on.

`lease.reap` notes such arrays after it has removed their files, and `ending` warns. A
process that is killed warns of nothing, nor does the one that sweeps after it.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress

from ...errors import FormatError
from ...system import files
from .. import header
from ..format import BLOCK

_lost: list[str] = []


def note(fd: int) -> None:
    """Note an array whose file was removed, and of which a pickle is left.

    Parameters
    ----------
    fd : int
        The open file.
    """
    _lost.append(_describe(fd))


def _describe(fd: int) -> str:
    with suppress(OSError, FormatError):
        start = files.read_at(fd, BLOCK, 0)
        length = header.full_length(start, "")
        if length > BLOCK:
            start = files.read_at(fd, length, 0)
        found = header.decode(start[:length], "")
        return f"{found.dtype} of shape {found.shape}"
    return "of unknown dtype"


def warn() -> None:
    """Warn once of all that was noted; never raises, as the process is ending."""
    if not _lost:
        return
    number, first = len(_lost), _lost[0]
    _lost.clear()  # before: the end may come a second time
    arrays = f"{number} arrays in RAM (the first: {first})"
    if number == 1:
        arrays = f"an array in RAM ({first})"
    text = (
        f"the process ends, and with it {arrays} of which a pickle was never opened. "
        "A pickle of a shared array is a handle, which cannot be loaded from now on. "
        "To keep values, call numpy.save(path, a), pickle a.copy(), or "
        "sharray.unshare(obj) of an object; or make the array in a file, with "
        "sharray.create('name.npy', ...)"
    )
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    except Exception:  # warnings are errors here
        with suppress(Exception):
            print(f"RuntimeWarning: {text}", file=sys.stderr)
