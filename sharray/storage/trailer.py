"""The trailer page: constant facts about a file, and words shared by all processes."""

from __future__ import annotations

import os
import struct
import zlib
from typing import NamedTuple

from ..errors import FormatError
from ..names import quote
from ..system import clock
from .format import KIND_ANONYMOUS, KIND_NAMED, TRAILER_SIZE, VERSION, round_up

_MAGIC = b"\x93SHARRAY"
_CONSTANT = struct.Struct("<8sHHI16sQQq")
_CHECKED = struct.Struct(_CONSTANT.format + "I")
CONSTANT_SIZE = 64

# Positions of the shared words, as indices of 64-bit words in the page.
GENERATION_WORD = 64 // 8
OWNER_WORD = 72 // 8
CHANNEL_WORD = 80 // 8
NAMESPACE_WORD = 88 // 8
LOOK_WORD = 96 // 8
KEPT_WORD = 104 // 8
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
    """Make the trailer of a new file, with a uuid that no other file has."""
    return Trailer(
        os.urandom(16), anonymous, data_offset, round_up(nbytes), clock.time_ns()
    )


def encode(trailer: Trailer) -> bytes:
    """Return the constant part as bytes; the rest of a new page is zeros."""
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
    """Decode the first bytes of the last page; return None if it is no trailer.

    Raises
    ------
    FormatError
        The page has the magic, but is damaged or has an unknown version.
    """
    if not constant.startswith(_MAGIC) or len(constant) < CONSTANT_SIZE:
        return None
    _, version, kind, _, uuid, data_offset, capacity, created_ns, crc = (
        _CHECKED.unpack_from(constant)
    )
    if version != VERSION:
        raise FormatError(
            f"{quote(path)} was written by another version of sharray: expected "
            f"trailer version {VERSION}, got {version}; read it with numpy.load, and "
            "write it again with numpy.save",
            path,
        )
    found = zlib.crc32(constant[: _CONSTANT.size])
    if crc != found or data_offset + capacity + TRAILER_SIZE != file_size:
        raise FormatError(
            f"{quote(path)} has a damaged trailer: expected checksum {crc:#010x} and "
            f"{data_offset + capacity + TRAILER_SIZE} bytes, got {found:#010x} and "
            f"{file_size}; read it with numpy.load, and write it again with numpy.save",
            path,
        )
    return Trailer(uuid, kind == KIND_ANONYMOUS, data_offset, capacity, created_ns)
