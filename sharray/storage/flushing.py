"""Flushing: write changed pages to the disk, and remember what failed.

The system tells one caller of msync(2) of a loss, once. So a segment keeps the first
fault where all processes see it, and each later flush raises it until `clear_fault`:
a flush that returns means that everything before it is on the disk.
"""

from __future__ import annotations

import errno
import os

from ..errors import ArrayGoneError, FlushError
from ..system import files, interrupts, memory
from ..system.optional import is_unsupported
from .segment import Segment


def flush(
    segment: Segment, address: int, start: int, nbytes: int, *, wait: bool
) -> None:
    """Write a range of a file to the disk.

    Parameters
    ----------
    segment : Segment
        The file, mapped.
    address : int
        Where the range begins in memory.
    start, nbytes : int
        The range in the file.
    wait : bool
        False only starts the writing, where the system can.

    Raises
    ------
    FlushError
        It failed, now or at any time since the last `clear_fault`.
    ArrayGoneError
        Somebody else has removed or replaced the file.
    """
    if segment.mode == "c":
        return
    _raise_fault(segment)
    if segment.mode == "r" or segment.volatile or segment.anonymous or nbytes == 0:
        return
    if segment.unlinked and segment.find_path() is None:
        return
    if not wait:
        with interrupts.deferred():
            if _start_writeback(segment, start, nbytes):
                return
    # Ctrl-C must not come between msync and the note of its fault: the system does
    # not tell again. It would not end msync in any case.
    with interrupts.deferred():
        _sync(segment, address, nbytes)
    # The system may have told another process of a loss that this one was not told of.
    _raise_fault(segment)
    # Last: the file can be replaced while this process waits for the disk.
    if segment.find_path() is None:
        raise ArrayGoneError(
            f"cannot flush the array {segment.path!r}: its file was removed or "
            "replaced, and what this array holds is under no name; save it with "
            "numpy.save, or open the new file and assign to that",
            segment.path,
        )


def _sync(segment: Segment, address: int, nbytes: int) -> None:
    try:
        memory.sync(address, nbytes)
    except OSError as error:
        if is_unsupported(error):  # nothing was lost, so nothing is remembered
            raise FlushError(
                f"{segment.path!r}: its file system cannot flush ({error.strerror}), "
                "so a power cut may lose what is not on the disk yet; keep the "
                "array on another disk",
                segment.path,
                error.errno,
            ) from error
        segment.set_fault(error.errno or errno.EIO)
        _raise_fault(segment)


def _raise_fault(segment: Segment) -> None:
    code = segment.fault
    if code:
        raise FlushError(
            f"{segment.path!r}: data did not reach the disk "
            f"({os.strerror(code)}), and what is in memory may differ from "
            "what a restart finds; save the array elsewhere, repair the "
            "disk, then call sharray.clear_fault(path)",
            segment.path,
            code,
        )


def _start_writeback(segment: Segment, start: int, nbytes: int) -> bool:
    # The descriptor was closed after mapping; only the same file will do.
    try:
        fd = files.open_existing(segment.path, writable=True)
    except OSError:
        return False
    try:
        status = files.status(fd)
        if (status.st_dev, status.st_ino) != (segment.device, segment.inode):
            return False
        return memory.start_writeback(fd, start, nbytes)
    finally:
        files.close(fd)
