"""The checks of one file.

No check trusts the file. The checks read it and never map its data: a process that
truncates or rewrites the file meanwhile can change a verdict, but do no harm.
"""

from __future__ import annotations

import os
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np

import sharray as sh

from ....names import is_in_ram
from ....storage import control_page, header, location, trailer
from ....storage import message_states as message
from ....storage.attaching import explain_open
from ....storage.format import (
    BLOCK,
    DATA_ALIGNMENT,
    LONGEST_HEADER,
    TRAILER_SIZE,
    round_up,
)
from ....storage.header import Header
from ....storage.lifetime import lease, transit
from ....storage.trailer import Trailer
from ....system import file_identity, files

GOOD, WARNING, DAMAGED = "good", "warning", "damaged"

_RESTORE = "restore the file from a copy"
_REWRITE = "rewrite it: numpy.save(new, numpy.load(old))"

_AT_ONCE = 1 << 20
_WORD = struct.Struct("<Q")


class Check(NamedTuple):
    """The result of one check; advice follows a warning or damage."""

    name: str
    verdict: str
    detail: str
    advice: str = ""


class _File(NamedTuple):
    """An open file, its header and its trailer."""

    fd: int
    path: str
    status: os.stat_result
    header: Header
    trailer: Trailer | None
    page: bytes  # with the trailer

    def word(self, index: int) -> int:
        """Return a word that all processes share."""
        return int(_WORD.unpack_from(self.page, index * _WORD.size)[0])


def check_file(name: str) -> Iterator[Check]:
    """Check a path or a name in RAM, until damage makes further checks pointless."""
    try:
        place = location.locate(name)
        if place.in_ram:
            location.check_ram_directories(place.path)
        fd = files.open_existing(place.path, writable=False, follow=not place.in_ram)
    except sh.SharrayError as error:
        yield Check("file", DAMAGED, str(error))
        return
    except OSError as error:
        yield Check("file", DAMAGED, str(explain_open(error, place.path)))
        return
    try:
        yield from _check_open(fd, place.path)
    except OSError as error:
        yield Check("reading", DAMAGED, f"failed: {error.strerror}", _RESTORE)
    finally:
        lease.let_go(fd)


def _check_open(fd: int, path: str) -> Iterator[Check]:
    status = files.status(fd)
    if not files.is_regular(status):
        yield Check(
            "file", DAMAGED, "is a directory, device or pipe", "name a regular file"
        )
        return
    yield Check("file", GOOD, f"regular, {status.st_size} bytes")
    try:
        found = _read_header(fd, path)
    except sh.FormatError as error:
        yield Check("header", DAMAGED, _without(path, error), _RESTORE)
        return
    yield Check("header", GOOD, f"shape {found.shape} of {found.dtype}")
    end = found.data_offset + found.nbytes
    if end > status.st_size:
        detail = f"truncated: expected at least {end} bytes, got {status.st_size}"
        yield Check("size", DAMAGED, detail, _RESTORE)
        return
    yield Check("size", GOOD, f"{found.nbytes} bytes of data")
    file = _File(fd, path, status, found, None, b"")
    if is_in_ram(path):
        check, file = _check_trailer(file)
        yield check
    else:
        yield _check_end(file)
    for act in _CHECKS if file.trailer is None else _CHECKS_WITH_TRAILER:
        yield act(file)


def _read_header(fd: int, path: str) -> Header:
    start = files.read_at(fd, BLOCK, 0)
    length = header.full_length(start, path)
    block = files.read_at(fd, length, 0)
    if len(block) < length:
        raise sh.FormatError(f"truncated: it has {len(block)} of {length} bytes")
    return header.decode(block, path)


def _without(path: str, error: sh.SharrayError) -> str:
    """Return the problem that an error tells, without path and remedy."""
    return str(error).removeprefix(repr(path)).lstrip(": ").partition("; ")[0]


def _check_trailer(file: _File) -> tuple[Check, _File]:
    size = file.status.st_size
    more = size - file.header.data_offset - file.header.nbytes
    if more < TRAILER_SIZE:
        return _no_trailer(more), file
    page = files.read_at(file.fd, TRAILER_SIZE, size - TRAILER_SIZE)
    try:
        found = trailer.decode(page[: trailer.CONSTANT_SIZE], size, file.path)
    except sh.FormatError as error:
        detail = _without(file.path, error)
        return Check("trailer", DAMAGED, detail, _REWRITE), file
    if found is None:
        return _no_trailer(more), file
    kind = "anonymous" if found.anonymous else "named"
    detail = f"valid checksum, {kind}, uuid {found.uuid.hex()}"
    return Check("trailer", GOOD, detail), file._replace(trailer=found, page=page)


def _check_end(file: _File) -> Check:
    """Warn of bytes behind the data on a disk, which some programs misread."""
    more = file.status.st_size - file.header.data_offset - file.header.nbytes
    if more == 0:
        return Check("end", GOOD, "nothing follows the data")
    detail = f"{more} bytes follow the data; some programs cannot read such files"
    return Check("end", WARNING, detail, _REWRITE)


def _no_trailer(more: int) -> Check:
    if more == 0:
        return Check("trailer", GOOD, "none: written by another program")
    detail = f"none, but {more} bytes follow the data: maybe it was overwritten"
    return Check("trailer", WARNING, detail, _REWRITE)


# -- checks of any file --------------------------------------------------------


def _check_numpy(file: _File) -> Check:
    """Load the file with NumPy, which trusts headers: only after the header check."""
    path = f"/proc/self/fd/{file.fd}"
    mode: Literal["r"] | None = "r" if file.header.nbytes else None  # maps no 0 bytes
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header by Python 2 is slower to read
            found = np.load(path, mode, max_header_size=LONGEST_HEADER)
    except OSError as error:
        detail = f"numpy.load cannot map it: {error.strerror or error}"
        advice = "open it with mode='c', or copy it to another disk"
        return Check("numpy", WARNING, detail, advice)
    except Exception as error:  # NumPy raises more types than it documents
        detail = f"numpy.load refuses it: {error}"
        return Check("numpy", DAMAGED, detail, _RESTORE)
    if (found.shape, found.dtype) != (file.header.shape, file.header.dtype):
        detail = f"numpy.load finds shape {found.shape} of {found.dtype}"
        return Check("numpy", DAMAGED, detail, _RESTORE)
    return Check("numpy", GOOD, "numpy.load finds the same shape and dtype")


def _check_access(file: _File) -> Check:
    mode = stat.S_IMODE(file.status.st_mode)
    if mode & 0o022:
        who = "everybody" if mode & 0o002 else "its group"
        detail = f"{who} may write and truncate it (mode {mode:04o})"
        return Check("access", WARNING, detail, "chmod go-w, unless they should")
    if file.status.st_uid not in (os.geteuid(), 0):
        detail = f"belongs to user {file.status.st_uid}, who may truncate it"
        return Check("access", WARNING, detail, "trust that user or copy the file")
    return Check("access", GOOD, f"only its owner may write (mode {mode:04o})")


def _check_room(file: _File) -> Check:
    found = files.allocated_bytes(file.status)
    anonymous = file.trailer is not None and file.trailer.anonymous
    missing = file.status.st_size - found
    if missing < BLOCK or anonymous:  # a message frees its memory and keeps its file
        return Check("room", GOOD, "fully allocated")
    detail = f"{missing} bytes are not allocated, or are compressed"
    advice = "cp --sparse=never; stores raise SIGBUS when the disk is full"
    return Check("room", WARNING, detail, advice)


# -- checks of a file that sharray wrote ---------------------------------------


def _check_agreement(file: _File) -> Check:
    assert file.trailer is not None
    offset, capacity = file.trailer.data_offset, file.trailer.capacity
    detail = f"data at {offset}, room for {capacity} bytes"
    if offset != file.header.data_offset or file.header.nbytes > capacity:
        found = f"{file.header.data_offset}, {file.header.nbytes} bytes"
        detail = f"trailer: {detail}; header: {found}"
        return Check("agreement", DAMAGED, detail, _RESTORE)
    if offset % DATA_ALIGNMENT or capacity % BLOCK:
        detail += f": expected multiples of {DATA_ALIGNMENT} and {BLOCK}"
        return Check("agreement", DAMAGED, detail, _REWRITE)
    return Check("agreement", GOOD, detail)


def _check_padding(file: _File) -> Check:
    data_end = file.header.data_offset + file.header.nbytes
    end = min(round_up(data_end), file.status.st_size - TRAILER_SIZE)
    for position in range(data_end, end, _AT_ONCE):
        part = files.read_at(file.fd, min(_AT_ONCE, end - position), position)
        rest = part.lstrip(b"\0")
        if rest:
            where = position + len(part) - len(rest) - data_end
            detail = f"byte {where} after the data is not zero"
            advice = "look for code that writes beyond the end of the array"
            return Check("padding", DAMAGED, detail, advice)
    return Check("padding", GOOD, f"{max(0, end - data_end)} bytes, all zero")


_OF_MESSAGES = {
    message.FREE: "free for the next message",
    message.WRITING: "a message is being written",
    message.IN_FLIGHT: "a message is in transit",
    message.HELD: "a message is in use",
    message.RETIRED: "given up by its sender",
}


def _check_state(file: _File) -> Check:
    state = file.word(trailer.STATE_WORD)
    assert file.trailer is not None
    if file.trailer.anonymous and state in _OF_MESSAGES:
        used = state or file.word(trailer.OWNER_WORD)
        return Check("state", GOOD, _OF_MESSAGES[state] if used else "clean")
    if state == message.FREE:
        return Check("state", GOOD, "clean")
    if state != message.WRITING:
        return Check("state", DAMAGED, f"unknown ({state})", _REWRITE)
    if _is_in_use(file.fd):
        advice = "verify it again when the processes that hold it have closed it"
        return Check("state", WARNING, "is being rewritten, or a writer died", advice)
    return Check("state", DAMAGED, "its writer died while rewriting it", _RESTORE)


def _is_in_use(fd: int) -> bool:
    """Return whether another process has, or may have, the file mapped.

    This may lock the file, until `lease.let_go`.
    """
    return lease.is_held(fd) is not False


def _check_fault(file: _File) -> Check:
    if file.trailer is not None:
        code = file.word(trailer.FAULT_WORD)
    else:
        code = control_page.fault_of(file_identity.identity_of(file.fd, file.status))
    if code == 0:
        return Check("fault", GOOD, "no flush has failed")
    detail = f"a flush failed: {os.strerror(code) if code < 4096 else code}"
    advice = "write the data again, then call sharray.clear_fault"
    return Check("fault", DAMAGED, detail, advice)


def _check_transit(file: _File) -> Check:
    number = transit.count(file.page)
    if number == 0:
        return Check("transit", GOOD, "no handles in transit")
    if transit.is_awaited(file.page, 0):
        return Check("transit", GOOD, f"handles in transit: {number}")
    detail = f"handles that nobody will open, since their senders ended: {number}"
    advice = "sharray gc, which removes the array when nobody holds it"
    return Check("transit", WARNING, detail, advice)


_CHECKS: tuple[Callable[[_File], Check], ...] = (
    _check_fault,
    _check_numpy,
    _check_access,
    _check_room,
)
_CHECKS_WITH_TRAILER: tuple[Callable[[_File], Check], ...] = (
    _check_agreement,
    _check_padding,
    _check_state,
    _check_transit,
    *_CHECKS,
)
