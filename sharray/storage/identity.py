"""Identities of array files: equal only for the same file."""

from __future__ import annotations

import os
import struct

from ..system import file_identity
from .header import Header
from .trailer import Trailer

IDENTITY_SIZE = 32  # bytes


def identity_of(
    fd: int, status: os.stat_result, header: Header, trailer: Trailer | None
) -> bytes:
    """Return 32 bytes that are equal only for the same file.

    The uuid of a file in RAM alone is not enough, since a copy of a file has the same
    uuid. Nor is the inode alone, since inodes are reused. A file on a disk has a time
    of birth and a generation. It also has the checksum of its header: a program that
    writes another array into the same file changes neither inode nor time. Where the
    file system knows neither time nor generation, the size takes that place.
    """
    if trailer is None:
        found = file_identity.identity_of(fd, status)
        if found is not None:
            checksum = header.checksum.to_bytes(file_identity.REST, "little")
            return found[: -file_identity.REST] + checksum
        size = 0 if header.growing is not None else status.st_size
        uuid = struct.pack("<QQ", size, header.checksum)
    else:
        uuid = trailer.uuid
    return struct.pack("<QQ16s", status.st_dev, status.st_ino, uuid)
