"""The trailer page: what a file is, and the words that all processes share."""

from __future__ import annotations

import os
import struct
import zlib
from typing import NamedTuple

from ..errors import FormatError
from ..system import clock
from .format import KIND_ANONYMOUS, KIND_NAMED, TRAILER_SIZE, VERSION, round_up

_MAGIC = b"\x93SHARRAY"
_CONSTANT = struct.Struct("<8sHHI16sQQq")
_CHECKED = struct.Struct(_CONSTANT.format + "I")
CONSTANT_SIZE = 64

# Where the shared words lie, as indices of 64-bit words from the page's start.
GENERATION_WORD = 64 // 8
OWNER_WORD = 72 // 8
CHANNEL_WORD = 80 // 8
NAMESPACE_WORD = 88 // 8
LOOK_WORD = 96 // 8
STATE_WORD = 128 // 8
FAULT_WORD = 192 // 8
TRANSIT_WORD = 256 // 8
PAGE_WORDS = TRAILER_SIZE // 8


class Trailer(NamedTuple):
    """The part of a trailer that never changes."""

    uuid: bytes
    anonymous: bool
    data_offset: int
    capacity: int
    created_ns: int


def new_trailer(data_offset: int, nbytes: int, *, anonymous: bool) -> Trailer:
    """A trailer for a new file, with a uuid that no other file has."""
    return Trailer(
        os.urandom(16), anonymous, data_offset, round_up(nbytes), clock.time_ns()
    )


def encode(trailer: Trailer) -> bytes:
    """The constant part as bytes; the rest of a new page is zeros."""
    kind = KIND_ANONYMOUS if trailer.anonymous else KIND_NAMED
    body = _CONSTANT.pack(
        _MAGIC,
        VERSION,
        kind,
        0,
        trailer.uuid,
        trailer.data_offset,
        trailer.capacity,
        trailer.created_ns,
    )
    return body + struct.pack("<II", zlib.crc32(body), 0)


def decode(constant: bytes, file_size: int, path: str) -> Trailer | None:
    """Read the first bytes of the last page; None if it is no trailer.

    Raises
    ------
    FormatError
        It has the magic, but is damaged or of a newer version.
    """
    if not constant.startswith(_MAGIC) or len(constant) < CONSTANT_SIZE:
        return None
    _, version, kind, _, uuid, data_offset, capacity, created_ns, crc = (
        _CHECKED.unpack_from(constant)
    )
    if version != VERSION:
        raise FormatError(
            f"{path!r} has trailer version {version}, expected {VERSION}; it was "
            "written by another version of sharray (numpy.load still reads it)",
            path,
        )
    found = zlib.crc32(constant[: _CONSTANT.size])
    if crc != found or data_offset + capacity + TRAILER_SIZE != file_size:
        raise FormatError(
            f"{path!r} has a damaged trailer: expected checksum {crc:#010x} and "
            f"{data_offset + capacity + TRAILER_SIZE} bytes, found {found:#010x} and "
            f"{file_size}; numpy.load still reads it, numpy.save writes it anew",
            path,
        )
    return Trailer(uuid, kind == KIND_ANONYMOUS, data_offset, capacity, created_ns)
