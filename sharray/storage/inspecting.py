"""Finding out who holds a file, and how much of it is in memory and on the disk.

Nothing here takes a lease, which would keep alive what is only looked at, and no
data is read: a file may be truncated at any time.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from ..errors import FormatError, StorageError, explain
from ..system import files, locks, mappings, pages
from ..system.mappings import FileKey, Mapping
from . import attaching, location, message, trailer, transit
from .format import TRAILER_SIZE
from .header import Header
from .inspection import Holder, Inspection
from .location import Location
from .segment import Segment
from .trailer import Trailer

_STATES = {
    message.FREE: "clean",
    message.WRITING: "updating",
    message.IN_FLIGHT: "in flight",
    message.HELD: "held",
    message.RETIRED: "retired",
}
_WORDS = struct.Struct(f"<{trailer.PAGE_WORDS}Q")
_LARGEST_ERRNO = 4095

# What is told of a file, but for who holds it, and what to look for them with.
_Look = tuple[FileKey | None, Inspection]


def inspect_file(place: Location) -> Inspection:
    """Inspect one file.

    Raises
    ------
    ArrayNotFoundError, AccessError, StorageError
        It cannot be opened.
    FormatError
        It is no array file.
    """
    return _with_holders([_look_at_file(place)])[0]


def inspect_files(places: Iterable[Location]) -> list[Inspection]:
    """Inspect files, and pass over those that are gone, or no arrays."""
    looks = []
    for place in places:
        try:
            looks.append(_look_at_file(place))
        except (StorageError, FormatError):
            continue
    return _with_holders(looks)


def inspect_segment(segment: Segment, address: int) -> Inspection:
    """Inspect what this process has mapped at an address, even if it has no name."""
    if files.names_same_file(segment.path, segment.device, segment.inode):
        return inspect_file(Location(segment.path, location.is_in_ram(segment.path)))
    found = _describe(
        segment.path,
        segment.header,
        segment.trailer,
        segment.size,
        None if segment.trailer is None else bytes(segment.words),
    )
    resident = None
    with suppress(OSError, NotImplementedError):
        runs = pages.resident_runs(address, segment.size)
        resident = min(sum(length for _, length in runs), segment.size)
    found = found._replace(path=None, durable=not segment.volatile, resident=resident)
    key = None
    with suppress(OSError):  # no /proc
        key = mappings.file_at(address)
    return _with_holders([(key, found)])[0]


def _look_at_file(place: Location) -> _Look:
    path = place.path
    if place.in_ram:
        location.check_ram_directories(path)
    try:
        fd = files.open_existing(path, writable=False, follow=not place.in_ram)
    except OSError as error:
        raise attaching.explain_open(error, path) from error
    try:
        return _look(fd, path)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise explain(error, "inspect the array", path) from error
    finally:
        files.close(fd)


def _look(fd: int, path: str) -> _Look:
    status = files.status(fd)
    attaching.check_regular(status, path)
    files.do_not_read_ahead(fd)
    size = status.st_size
    header, found_trailer = attaching.read_layout(fd, size, path)
    page = None
    if found_trailer is not None:
        page = files.read_at(fd, TRAILER_SIZE, size - TRAILER_SIZE)
    volatile = files.is_volatile(fd, status.st_dev)
    key, resident, dirty = _look_at_pages(fd, path, status, volatile)
    found = _describe(path, header, found_trailer, size, page)._replace(
        durable=not volatile,
        modified=_time(status.st_mtime_ns),
        allocated=files.allocated_bytes(status),
        resident=resident,
        dirty=dirty,
        # At last, since who opens the file waits for as long as this one is locked.
        in_use=_is_in_use(fd),
    )
    return key, found


def _look_at_pages(
    fd: int, path: str, status: os.stat_result, volatile: bool
) -> tuple[FileKey | None, int | None, int | None]:
    """How the maps files name it, and what is resident and dirty; None: not told."""
    key, size = None, status.st_size
    with suppress(OSError, NotImplementedError), pages.mapped(fd, size) as address:
        key = mappings.file_at(address)
        if files.may_see_pages(path, status):
            runs = list(pages.resident_runs(address, size))
            resident = min(sum(length for _, length in runs), size)
            dirty = None if volatile else pages.dirty_bytes(address, size, runs)
            return key, resident, dirty
    return key, None, None


def _is_in_use(fd: int) -> bool | None:
    """Whether anybody holds it; the lock goes as the descriptor is closed."""
    is_free = locks.lock_exclusive(fd)
    return None if is_free is None else not is_free


def _describe(
    path: str, header: Header, found: Trailer | None, size: int, page: bytes | None
) -> Inspection:
    """What header and trailer say."""
    words = None if page is None else _WORDS.unpack(page)
    return Inspection(
        name=location.display_name(path),
        path=path,
        dtype=header.dtype,
        shape=header.shape,
        order="F" if header.fortran_order else "C",
        nbytes=header.nbytes,
        file_size=size,
        data_offset=header.data_offset,
        durable=True,
        anonymous=found is not None and found.anonymous,
        created=None if found is None else _time(found.created_ns),
        modified=None,
        uuid=None if found is None else found.uuid.hex(),
        generation=0 if words is None else words[trailer.GENERATION_WORD],
        state="foreign" if words is None else _state(words[trailer.STATE_WORD]),
        owner=None if words is None else words[trailer.OWNER_WORD] >> 32 or None,
        in_transit=0 if page is None else transit.count(page),
        fault=None if words is None else _fault(words[trailer.FAULT_WORD]),
        allocated=None,
        resident=None,
        dirty=None,
        in_use=True,
    )


def _time(nanoseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        return None  # anybody may have set it to anything


def _state(word: int) -> str:
    return _STATES.get(word, f"unknown ({word})")


def _fault(word: int) -> str | None:
    if word == 0:
        return None
    return os.strerror(word) if word <= _LARGEST_ERRNO else f"unknown ({word})"


def _with_holders(looks: list[_Look]) -> list[Inspection]:
    """Look for the holders of all of them at once."""
    if not looks:
        return []
    found = mappings.find({key for key, _ in looks if key is not None})
    return [
        _with(one, _holders(found.get(key, []) if key else [])) for key, one in looks
    ]


def _with(found: Inspection, holders: tuple[Holder, ...]) -> Inspection:
    """Add the holders; without locks, seeing one is the only proof of use."""
    if found.in_use is None and holders:
        found = found._replace(in_use=True)
    return found._replace(holders=holders)


def _holders(found: list[Mapping]) -> tuple[Holder, ...]:
    by_pid: dict[int, list[Mapping]] = {}
    for mapping in found:
        by_pid.setdefault(mapping.pid, []).append(mapping)
    return tuple(
        Holder(pid, mappings.command(pid), tuple(ones)) for pid, ones in by_pid.items()
    )
