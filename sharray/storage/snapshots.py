"""Snapshots: all data of a mapped file in a new file, as a clone or as a copy.

A clone needs two files on one file system that can clone, and the name of the mapped
one. Changes that are private (mode ``c``) are in no file. A file in RAM has another
layout than one on a disk. In these cases the data is copied from memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ..system import files
from . import location, making, new_header, rows_field
from .cloning import Clone, NoClonesError, refuse_truncated
from .header import Header
from .new_file import Contents
from .new_header import NewHeader
from .segment import Segment

# Large enough for fast writes, small enough for Ctrl-C in between.
_PART = 8 << 20


def snapshot(segment: Segment, place: location.Location, *, overwrite: bool) -> bool:
    """Save all data of a segment in a new file; call this with signals deferred.

    Parameters
    ----------
    segment : Segment
        If it can grow, its `header` says how many rows to save.
    place : Location
        Location of the new file.
    overwrite : bool
        See `sharray.storage.making.create`.

    Returns
    -------
    bool
        True if the new file has the state of one moment.

    Raises
    ------
    ArrayExistsError, NoSpaceError, DtypeError, StorageError
        The file cannot be made.
    """
    fd = _open(segment)
    if fd is not None:
        try:
            refuse_truncated(fd, segment.data_range[1], segment.path)
            if segment.mode != "c" and not place.in_ram:
                clone = Clone(fd, segment.path)
                new = _same_header(fd, segment.header)
                with suppress(NoClonesError):
                    _create(place, new, clone, overwrite=overwrite)
                    return clone.is_cut
        finally:
            files.close(fd)
    found = segment.header
    new = new_header.encode(
        *(found.dtype, found.shape, found.fortran_order),
        pages=place.in_ram,
        growable=found.growing is not None,
    )
    _create(place, new, _parts(segment), overwrite=overwrite)
    return False


def _open(segment: Segment) -> int | None:
    """Open the file of a segment on a disk, if it still has a name."""
    if segment.trailer is not None:
        return None
    path = segment.find_path()
    if path is None:
        return None
    try:
        fd = files.open_existing(path, writable=False)
    except OSError:
        return None
    status = files.status(fd)
    if (status.st_dev, status.st_ino) == (segment.device, segment.inode):
        return fd
    files.close(fd)
    return None


def _same_header(fd: int, header: Header) -> NewHeader:
    """Return the header of a file, with the rows that are complete by now."""
    block = files.read_at(fd, header.data_offset, 0)
    if header.growing is not None:
        block = rows_field.replaced(block, header.growing, header.rows)
    return NewHeader(block, header)


def _create(
    place: location.Location,
    new: NewHeader,
    contents: Contents,
    *,
    overwrite: bool,
) -> None:
    made = making.create(place, new, contents, overwrite=overwrite, permissions=None)
    made.segment.unmap()


def _parts(segment: Segment) -> Iterator[memoryview]:
    data = segment.data
    for start in range(0, len(data), _PART):
        yield data[start : start + _PART]
