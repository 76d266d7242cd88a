"""The number of rows in the header of a file, read and written in place."""

from __future__ import annotations

import os
import struct

from ..errors import FormatError, ShapeError
from ..system import files, locks
from . import rows_field
from .header import Header, decode

# Who counts the rows of a file holds this byte, behind all data: locks need no byte to
# be there.
HOLD = 1 << 62


def read(fd: int, position: int) -> int:
    """Return the number of rows that the header of a file gives."""
    field = files.read_at(fd, rows_field.SIZE, position)
    try:
        return int(field)
    except ValueError:
        raise FormatError(
            f"expected a number of rows in the header, got {field!r}; another program "
            "has rewritten the file: open it again"
        ) from None


def write(fd: int, position: int, rows: int) -> None:
    """Change the number of rows; no reader sees half of it."""
    os.pwrite(fd, rows_field.text(rows).encode(), position)


def settle(fd: int, rows: int, layout: tuple[int, int], pending: int) -> None:
    """Bring a file in order that nobody appends to: its length, and its header.

    Parameters
    ----------
    fd : int
        The file, open for writing.
    rows : int
        Number of complete rows.
    layout : (int, int)
        Where row 0 begins in the file, and the size of a row, in bytes.
    pending : int
        Where the file may end if an appender was killed.
    """
    if not locks.lock_byte(fd, HOLD):
        return  # a process in another container counts its rows
    offset, row_size = layout
    end = offset + rows * row_size
    size = os.lseek(fd, 0, os.SEEK_END)
    header = _header(fd, offset)
    # Otherwise another program has rewritten the file, and the rows are not its rows.
    if (
        header is None
        or (header.data_offset, header.row_size) != layout
        or not header.rows <= rows
        or size < end
    ):
        return
    if end < size <= pending:
        os.ftruncate(fd, end)
    assert header.growing is not None
    if header.rows < rows:
        # As in a flush: the header must not reach the disk before the rows.
        files.sync_file(fd)
        write(fd, header.growing, rows)
        files.sync_file(fd)


def _header(fd: int, size: int) -> Header | None:
    """Return the header of a growable array; None if the file is another one."""
    try:
        found = decode(files.read_at(fd, size, 0), "")
    except (FormatError, ShapeError, KeyError, struct.error):
        return None
    return None if found.growing is None else found
