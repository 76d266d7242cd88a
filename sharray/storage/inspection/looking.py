"""Look at files: what header and trailer say, and which pages are in memory."""

from __future__ import annotations

import errno
import os
import struct
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from ...errors import FormatError, SharrayError, StorageError, explain
from ...names import display_name, is_in_ram
from ...system import (
    file_identity,
    file_systems,
    files,
    interrupts,
    locks,
    mappings,
    pages,
)
from ...system.mappings import FileKey
from .. import attaching, control_page, location, trailer
from .. import message_states as message
from ..format import TRAILER_SIZE
from ..header import Header
from ..identity import identity_of
from ..lifetime import lease, transit
from ..location import Location
from ..trailer import Trailer
from .result import Inspection

_STATES = {
    message.FREE: "clean",
    message.WRITING: "updating",
    message.IN_FLIGHT: "in flight",
    message.HELD: "held",
    message.RETIRED: "retired",
}
_WORDS = struct.Struct(f"<{trailer.PAGE_WORDS}Q")
_LARGEST_ERRNO = 4095

# Files that are mapped at the same time, for a look at their pages: a sixteenth of
# what the system lets a process map, vm.max_map_count.
_MOST_MAPPED = 4096

# What is told of a file, but for who holds it, and what to look for them with.
Found = tuple[FileKey | None, Inspection]

# Addresses and sizes of what is mapped for a look, to be unmapped after it.
_Mapped = list[tuple[int, int]]


class _Look(NamedTuple):
    """A file that is mapped for a look at its pages.

    Attributes
    ----------
    address : int or None
        Where; None where the file cannot be mapped.
    shown : bool
        Whether its dirty pages can be told.
    found : Inspection
        All but its dirty pages and its holders.
    """

    address: int | None
    shown: bool
    found: Inspection


def keys_at(addresses: list[int]) -> dict[int, FileKey]:
    """Return the files that are mapped at addresses; empty without /proc."""
    with suppress(OSError):
        return mappings.files_at(addresses)
    return {}


def _dirty_at(addresses: list[int | None]) -> dict[int, int]:
    """Return how much is dirty at addresses; empty without /proc."""
    with suppress(OSError):
        return pages.dirty_bytes([one for one in addresses if one is not None])
    return {}


def look_at_next(waiting: deque[Location]) -> list[Found | SharrayError]:
    """Look at as many files as may be mapped at the same time, and take them out."""
    looks: list[_Look | SharrayError] = []
    mapped: _Mapped = []
    with interrupts.deferred():  # nobody else would unmap them
        try:
            _map_next(waiting, looks, mapped)
            with interrupts.allowed():
                keys, dirty = _told_by_the_system(looks)
        finally:
            for address, nbytes in mapped:
                pages.unmap(address, nbytes)
    return [
        (
            keys.get(look.address or 0),
            look.found._replace(dirty=dirty.get(look.address or 0)),
        )
        if isinstance(look, _Look)
        else look
        for look in looks
    ]


def _told_by_the_system(
    looks: list[_Look | SharrayError],
) -> tuple[dict[int, FileKey], dict[int, int]]:
    """Return how the tables of mappings name files, and how much of them is dirty."""
    done = [look for look in looks if isinstance(look, _Look)]
    keys = keys_at([look.address for look in done if look.address is not None])
    return keys, _dirty_at([look.address for look in done if look.shown])


def _map_next(
    waiting: deque[Location], looks: list[_Look | SharrayError], mapped: _Mapped
) -> None:
    while waiting and len(looks) < _MOST_MAPPED:
        interrupts.check()
        look = _look_at_file(waiting[0], mapped)
        if looks and isinstance(look, StorageError) and look.errno == errno.ENOMEM:
            break  # once the others are not mapped any more there may be room
        looks.append(look)
        waiting.popleft()


def _look_at_file(place: Location, mapped: _Mapped) -> _Look | SharrayError:
    path = place.path
    try:
        if place.in_ram:
            location.check_ram_directories(path)
        try:
            fd = files.open_existing(path, writable=False, follow=not place.in_ram)
        except OSError as error:
            raise attaching.explain_open(error, path) from error
        try:
            return _look(fd, path, mapped)
        finally:
            files.close(fd)
    except OSError as error:
        if isinstance(error, StorageError):
            return error
        explained = explain(error, "inspect the array", path)
        explained.__cause__ = error
        return explained
    except FormatError as error:
        return error


def _look(fd: int, path: str, mapped: _Mapped) -> _Look:
    status = files.status(fd)
    attaching.check_regular(status, path)
    files.do_not_read_ahead(fd)
    size = status.st_size
    place = location.Location(path, is_in_ram(path))
    header, found_trailer = attaching.read_layout(fd, size, place)
    if header.growing is not None:
        identity = identity_of(fd, status, header, found_trailer)
        header = attaching.with_live_rows(header, identity, size)
    page = None
    if found_trailer is not None:
        page = files.read_at(fd, TRAILER_SIZE, size - TRAILER_SIZE)
    volatile = file_systems.is_volatile(fd, status.st_dev)
    address, resident, shown = _look_at_pages(fd, path, status, volatile, mapped)
    found = describe(path, header, found_trailer, size, page)._replace(
        durable=not volatile,
        created=_created(fd, found_trailer),
        modified=_time(status.st_mtime_ns),
        fault=_fault(_fault_word(fd, page, volatile)),
        allocated=files.allocated_bytes(status),
        resident=resident,
        # At last, since who opens the file waits for as long as this one is locked.
        in_use=lease.is_held(fd),
    )
    locks.unlock(fd)  # which else the mapping would keep
    return _Look(address, shown, found)


def _look_at_pages(
    fd: int, path: str, status: os.stat_result, volatile: bool, mapped: _Mapped
) -> tuple[int | None, int | None, bool]:
    """Map the file to look at its pages.

    Returns
    -------
    address : int or None
        Where it is mapped, as noted in `mapped`; None where that is not possible.
    resident : int or None
        Bytes in memory; None if that cannot be told.
    shown : bool
        Whether `pages.dirty_bytes` can tell of it.
    """
    address, resident, size = None, None, status.st_size
    try:
        address = pages.map_to_look(fd, size)
        mapped.append((address, size))
        if not files.may_see_pages(path, status):
            return address, None, False
        with interrupts.allowed():
            runs = list(pages.resident_runs(address, size))
            resident = min(sum(length for _, length in runs), size)
            return address, resident, not volatile and pages.show(address, size, runs)
    except (OSError, NotImplementedError) as error:  # without mincore, none is known
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            raise  # there may be room once the files before are not mapped any more
        return address, resident, False


def describe(
    path: str, header: Header, found: Trailer | None, size: int, page: bytes | None
) -> Inspection:
    """Return what header and trailer say."""
    words = None if page is None else _WORDS.unpack(page)
    return Inspection(
        name=display_name(path),
        path=path,
        stale=None,
        dtype=header.dtype,
        shape=header.shape,
        order="F" if header.fortran_order else "C",
        growable=header.growing is not None,
        nbytes=header.nbytes,
        file_size=size,
        data_offset=header.data_offset,
        durable=True,
        anonymous=found is not None and found.anonymous,
        created=None if found is None else _time(found.created_ns),
        modified=None,
        uuid=None if found is None else found.uuid.hex(),
        generation=0 if words is None else words[trailer.GENERATION_WORD],
        state="clean" if words is None else _state(words[trailer.STATE_WORD]),
        owner=None if words is None else words[trailer.OWNER_WORD] >> 32 or None,
        in_transit=0 if page is None else transit.count(page),
        fault=None if words is None else _fault(words[trailer.FAULT_WORD]),
        allocated=None,
        resident=None,
        dirty=None,
        in_use=True,
    )


def _created(fd: int, found: Trailer | None) -> datetime | None:
    """Return when the file was made, as its trailer or the file system says."""
    if found is not None:
        return _time(found.created_ns)
    birth, _ = file_identity.birth_of(fd)
    return _time(birth) if birth else None


def _fault_word(fd: int, page: bytes | None, volatile: bool) -> int:
    if page is not None:
        return int(_WORDS.unpack(page)[trailer.FAULT_WORD])
    if volatile:
        return 0
    return control_page.fault_of(file_identity.identity_of(fd, files.status(fd)))


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
