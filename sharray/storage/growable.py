"""Files that can grow: which arrays can, and files of `numpy.save` that are made to."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import BusyError, FormatError, ShapeError
from ..names import quote
from ..system import file_identity, files, locks
from . import attaching, control_page, header_rows, new_header, rows_field
from .header import Header
from .location import Location


def check_growable(
    dtype: np.dtype[Any], shape: tuple[int, ...], fortran_order: bool
) -> None:
    """Refuse an array without rows, or with rows of no bytes."""
    if not shape:
        raise ShapeError("expected a shape of one dimension or more, got (): a scalar")
    before, _, after = rows_field.split(shape, fortran_order)
    rest = before + after
    if dtype.itemsize == 0 or 0 in rest:
        raise ShapeError(
            f"expected rows of at least one byte, got {rest} elements of {dtype}"
        )


def make_growable(place: Location) -> None:
    """Give the header of a file a field for its rows; call it with signals deferred.

    Raises
    ------
    FormatError
        The file is no plain ``.npy`` file, or its header has no room for the field.
    ArrayNotFoundError, AccessError, StorageError
        The file cannot be used.
    """
    path = place.path
    try:
        fd = files.open_existing(path, writable=True, follow=not place.in_ram)
    except OSError as error:
        raise attaching.explain_open(error, path, "r+") from error
    try:
        status = files.status(fd)
        attaching.check_regular(status, path)
        header, trailer = attaching.read_layout(fd, status.st_size, place)
        if header.growing is not None:
            return
        _check(header, status.st_size, path, has_trailer=trailer is not None)
        block = new_header.made_growable(header)
        if block is None:
            raise FormatError(
                f"{quote(path)} has no room in its header for a growing number of "
                "rows; make a new file with sharray.create(..., growable=True), and "
                "append the old array to it",
                path,
            )
        if not locks.lock_byte(fd, header_rows.HOLD):
            raise BusyError(
                f"cannot make {quote(path)} growable: another process does the same; "
                "open it again",
                path,
            )
        found = file_identity.identity_of(fd, status)
        if found is not None:
            control_page.forget_rows(found)
        files.write_at(fd, block, 0)
        files.sync_file(fd)
    finally:
        files.close(fd)


def _check(header: Header, size: int, path: str, *, has_trailer: bool) -> None:
    check_growable(header.dtype, header.shape, header.fortran_order)
    if has_trailer:
        raise FormatError(
            f"{quote(path)} is an array in RAM of fixed size; make a new one with "
            "sharray.create(..., growable=True), and append the old one to it",
            path,
        )
    more = size - header.data_offset - header.nbytes
    if more:
        raise FormatError(
            f"cannot make {quote(path)} growable: {more} bytes follow its data, which "
            "new rows would replace; write it again with numpy.save",
            path,
        )
