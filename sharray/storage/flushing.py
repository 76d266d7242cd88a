"""Flushing: write changed pages to the disk, and remember failures.

The system reports a loss to one caller of msync(2), once. So a segment keeps the first
fault in the control page of its file, or in its trailer, where all processes see it.
Each later flush raises it until `clear_fault`. If a flush returns, all data written
before it is on the disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from ..errors import ArrayGoneError, FlushError, StorageError
from ..names import quote
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
        The mapped file.
    address : int
        Address of the start of the range in memory.
    start, nbytes : int
        Position and length of the range in the file, in bytes.
    wait : bool
        With False, only start the writing, if the system can do that.

    Raises
    ------
    FlushError
        This flush failed, or an earlier one since the last `clear_fault`.
    ArrayGoneError
        The file was removed or replaced, other than by `sharray.unlink` in this
        process.
    """
    if segment.mode == "c":
        return
    raise_fault(segment)
    if segment.mode == "r" or segment.anonymous:
        return
    is_growable = segment.header.growing is not None
    if not is_growable and (segment.volatile or nbytes == 0):
        return
    if segment.unlinked and segment.find_path() is None:
        return
    if not wait and not segment.volatile:
        with interrupts.deferred():
            if _start_writeback(segment, start, nbytes):
                return
    # Ctrl-C must not come between msync and recording its error, since the system
    # reports it only once. It would not interrupt msync in any case.
    with interrupts.deferred():
        if is_growable:  # all of it: the header counts all rows
            _sync(segment, segment.grow().flush)
        else:
            _sync(segment, lambda: memory.sync(address, nbytes))
    # The system may have reported a loss to another process, and not to this one.
    raise_fault(segment)
    # Checked last: the file can be replaced while this process waits for the disk.
    if segment.find_path() is None and not segment.awaits_name:
        raise ArrayGoneError(
            f"cannot flush the array {quote(segment.path)}: its file was removed or "
            "replaced, so no file name leads to this array's data; save the data with "
            "numpy.save(path, array), or open the new file and assign to it",
            segment.path,
        )


def _sync(segment: Segment, act: Callable[[], None]) -> None:
    try:
        act()
    except StorageError:  # not of the disk
        raise
    except OSError as error:
        if is_unsupported(error):  # nothing was lost, so record no fault
            raise FlushError(
                f"{quote(segment.path)}: its file system cannot flush "
                f"({error.strerror}), so a power cut may lose data that is not on the "
                "disk yet; keep the array on another disk",
                segment.path,
                error.errno,
            ) from error
        segment.set_fault(error.errno or errno.EIO)
        raise_fault(segment)


def raise_fault(segment: Segment) -> None:
    """Raise the error of an earlier flush that lost data, if there was one."""
    code = segment.fault
    if code:
        raise FlushError(
            f"{quote(segment.path)}: data did not reach the disk "
            f"({os.strerror(code)}), so memory may not match the disk after a reboot; "
            "save the array elsewhere, repair the disk, then call "
            f"sharray.clear_fault({quote(segment.path)})",
            segment.path,
            code,
        )


def _start_writeback(segment: Segment, start: int, nbytes: int) -> bool:
    # The descriptor was closed after mapping, so open the same file again.
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
