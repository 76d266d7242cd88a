"""Attaching: open, check and map an existing array file."""

from __future__ import annotations

import os

from ..errors import (
    AccessError,
    ArrayGoneError,
    ArrayNotFoundError,
    FormatError,
    StorageError,
    explain,
)
from ..names import quote
from ..system import files, remapping
from . import control_page, location, trailer
from . import header as header_block
from .format import BLOCK, TRAILER_SIZE
from .header import Header
from .identity import identity_of
from .lifetime import lease
from .segment import Segment
from .trailer import Trailer

_OVERWRITES = 10


def attach(
    place: location.Location,
    mode: str,
    *,
    identity: bytes | None = None,
    keepable: bool = False,
) -> Segment:
    """Map an existing array file; call this with signals deferred.

    Parameters
    ----------
    place : Location
        Location of the file.
    mode : {'r', 'r+', 'c'}
        As in `numpy.memmap`.
    identity : bytes, optional
        Refuse a file with another identity.
    keepable : bool, default False
        Map an anonymous array so that `sharray.storage.kept` can keep the mapping.

    Raises
    ------
    ArrayNotFoundError, ArrayGoneError
        There is no file, or its identity is not `identity`.
    FormatError
        The file is not an array.
    AccessError, UnsafePathError, BusyError, StorageError
        The file cannot be used.
    """
    segment, fd = attach_open(place, mode, identity=identity, keepable=keepable)
    files.close(fd)
    return segment


def attach_open(
    place: location.Location,
    mode: str,
    *,
    identity: bytes | None = None,
    keepable: bool = False,
) -> tuple[Segment, int]:
    """Attach as `attach` does; also return the descriptor, which the caller closes."""
    path = place.path
    if place.in_ram:
        location.check_ram_directories(path)
    for _ in range(_OVERWRITES):
        try:
            fd = files.open_existing(
                path, writable=mode == "r+", follow=not place.in_ram
            )
        except OSError as error:
            raise explain_open(error, path, mode, identity is not None) from error
        try:
            lease.hold(fd, path)
            status = files.status(fd)
            if not files.has_name(status, path):
                files.close(fd)
                continue  # removed or replaced between open and lock: try again
            return _map_checked(fd, status, place, mode, identity, keepable), fd
        except BaseException as error:
            files.close(fd)
            if not isinstance(error, OSError) or isinstance(error, StorageError):
                raise
            raise explain(error, "open the array", path) from error
    raise StorageError(
        f"cannot open {quote(path)}: it was replaced {_OVERWRITES} times meanwhile; "
        "try again",
        path,
    )


def explain_open(
    error: OSError, path: str, mode: str = "r", by_handle: bool = False
) -> StorageError:
    """Return the library's error for an OSError from opening an array."""
    if isinstance(error, FileNotFoundError):
        name = quote(path)
        if by_handle and location.is_anonymous(path):
            return ArrayGoneError(
                f"the anonymous array {name} is gone: the last process that held it "
                "has dropped it or ended, and its pickle is a handle without values; "
                "to keep values, save them with numpy.save(path, array), pickle "
                "array.copy(), or make the array with sharray.create(path, ...); to "
                "send it, keep the array until every process has opened it",
                path,
            )
        if by_handle:
            return ArrayGoneError(
                f"the array {name} is gone: it was removed or moved after the "
                "handle was made; keep the array (or its file) until every "
                "process has opened it",
                path,
            )
        leads_to = location.dangling_target(path)
        if leads_to is not None:
            return ArrayNotFoundError(
                f"there is no array {name}: it is a symbolic link to {leads_to!r}, "
                "which does not exist; remove the link, or create the array there",
                path,
            )
        return ArrayNotFoundError(
            f"there is no array {name}; check the name, or create the array", path
        )
    if isinstance(error, PermissionError) and mode == "r+":
        return AccessError(
            f"cannot open {quote(path)} for writing: permission denied; open it with "
            "mode='r', or check its owner, mode and attributes (ls -lZ, lsattr)",
            path,
            error.errno,
        )
    return explain(error, "open the array", path)


def _map_checked(
    fd: int,
    status: os.stat_result,
    place: location.Location,
    mode: str,
    identity: bytes | None,
    keepable: bool,
) -> Segment:
    path = place.path
    check_regular(status, path)
    header, found_trailer = read_layout(fd, status.st_size, place)
    if identity is not None and identity != identity_of(
        fd, status, header, found_trailer
    ):
        raise ArrayGoneError(
            f"the file {quote(path)} is not the one that the handle was made for: it "
            "was replaced meanwhile; send the new array",
            path,
        )
    if header.growing is not None:
        found = identity_of(fd, status, header, found_trailer)
        header = with_live_rows(header, found, status.st_size)
    try:
        if keepable and mode == "r+" and found_trailer and found_trailer.anonymous:
            return _map_keepable(fd, status, place, header, found_trailer)
        return Segment(fd, status, place, mode, header, found_trailer)
    except OSError as error:
        doing = "map a private copy of" if mode == "c" else "map the array"
        raise explain(error, doing, path) from error


def _map_keepable(
    fd: int,
    status: os.stat_result,
    place: location.Location,
    header: Header,
    found_trailer: Trailer,
) -> Segment:
    """Map a file with its lease in the first page only."""
    layout = header, found_trailer
    same = status.st_dev, status.st_ino
    if not (remapping.is_possible() and location.is_anonymous(place.path)):
        return Segment(fd, status, place, "r+", *layout)
    # Opened again, since a lock belongs to an open file and not to a descriptor. The
    # lease keeps the name, unless somebody removes it by hand.
    unlocked = files.open_existing(place.path, writable=True, follow=False)
    try:
        again = files.status(unlocked)
        if (again.st_dev, again.st_ino) != same:
            return Segment(fd, status, place, "r+", *layout)
        return Segment(unlocked, status, place, "r+", *layout, lease_fd=fd)
    finally:
        files.close(unlocked)


def with_live_rows(header: Header, identity: bytes, size: int) -> Header:
    """Return the header of a growable file with the rows that are complete by now.

    The header in the file has those of the last flush.
    """
    rows = control_page.rows_of(identity)
    if rows is None or rows < header.rows:
        return header
    if header.data_offset + rows * header.row_size > size:
        return header
    return header.with_rows(rows)


def check_regular(status: os.stat_result, path: str) -> None:
    """Refuse a file that cannot be an array."""
    if not files.is_regular(status):
        raise FormatError(
            f"{quote(path)} is not an array file: expected a regular file, got a "
            "directory, device or pipe; name a .npy file",
            path,
        )


def read_layout(
    fd: int, size: int, place: location.Location
) -> tuple[Header, Trailer | None]:
    """Read and check header and trailer against the size of the file.

    Everything is read once, into private bytes. So the checked bytes are the ones that
    are used, even if another process writes to the file meanwhile.
    """
    path = place.path
    start = files.read_at(fd, BLOCK, 0)
    header = header_block.recall(start) or _read_header(fd, start, path)
    end = header.data_offset + header.nbytes
    if end > size:
        raise FormatError(
            f"{quote(path)} is too short: shape {header.shape} of {header.dtype} needs "
            f"{end} bytes, got {size}; the file was truncated: restore it from a "
            "backup",
            path,
        )
    # A file on a disk has none: what is behind its data is another program's.
    if header.growing is not None:
        return header, None  # its rows may look like a trailer
    if not place.in_ram or size - end < TRAILER_SIZE:
        return header, None
    constant = files.read_at(fd, trailer.CONSTANT_SIZE, size - TRAILER_SIZE)
    found = trailer.decode(constant, size, path)
    if found is not None and (
        found.data_offset != header.data_offset or header.nbytes > found.capacity
    ):
        raise FormatError(
            f"{quote(path)}: header and trailer contradict each other: the header has "
            f"{header.nbytes} bytes of data at {header.data_offset}, the trailer "
            f"{found.capacity} at {found.data_offset}; restore the file from a backup, "
            "or write it again with numpy.save",
            path,
        )
    return header, found


def _read_header(fd: int, start: bytes, path: str) -> Header:
    length = header_block.full_length(start, path)
    if length > len(start):
        start = files.read_at(fd, length, 0)
    if length > len(start):
        raise FormatError(
            f"{quote(path)} ends within its header: expected {length} bytes, got "
            f"{len(start)}; the file was truncated: restore it from a backup",
            path,
        )
    return header_block.decode(start[:length], path)
