"""Mappings of files in all processes, from the maps files of proc(5)."""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import re
from collections.abc import Collection
from typing import NamedTuple

# Device and inode as the maps files show them. On some file systems (btrfs, overlays)
# these differ from stat(2), so `files_at` reads the key of a file from there, too.
FileKey = tuple[bytes, bytes]
# Up to so many files, search the table for each file before parsing its lines.
_FEW = 16
# proc(5) adds this to the path of a mapped file that was removed.
DELETED = " (deleted)"


class Mapping(NamedTuple):
    """A range of addresses of one process that shows a file.

    Attributes
    ----------
    pid : int
        Number of the process.
    address : int
        First address of the range.
    nbytes : int
        Length of the range in bytes.
    offset : int
        Position in the file that the first address shows.
    permissions : str
        ``r``, ``w``, ``x`` or dashes, and ``s`` for shared or ``p`` for private.
    """

    pid: int
    address: int
    nbytes: int
    offset: int
    permissions: str


@functools.cache
def _line() -> re.Pattern[bytes]:
    """Return a line: addresses, permissions, offset, device and inode; proc(5)."""
    return re.compile(rb"(\w+)-(\w+) (\S+) (\w+) (\S+) (\d+) *(.*)\n")


def files_at(addresses: Collection[int]) -> dict[int, FileKey]:
    """Return the files that this process has mapped from these addresses on.

    Read the table once for all addresses. It has a line for each mapping, so reading
    it for each address would take quadratic time.
    """
    wanted = {b"%08x" % address: address for address in addresses}
    return {
        wanted[line[1]]: (line[5], line[6])
        for line in _line().finditer(_read(os.getpid(), "maps"))
        if line[1] in wanted
    }


def path_at(address: int) -> str | None:
    """Return the current path of the file that is mapped at an address.

    The system follows a file that is renamed, or whose directory is. It adds
    `DELETED` to the last path of a file that was removed or replaced. Return None if
    the path is not known.
    """
    try:
        table = b"\n" + _read(os.getpid(), "maps")
    except OSError:
        return None  # no /proc
    # Parse this line only: the table may have thousands.
    start = table.find(b"\n%08x-" % address)
    line = _line().match(table, start + 1) if start >= 0 else None
    return os.fsdecode(line[7].replace(rb"\012", b"\n")) or None if line else None


def is_private_at(address: int) -> bool:
    """Tell whether stores to an address stay in this process; False without /proc."""
    try:
        table = _read(os.getpid(), "maps")
    except OSError:
        return False
    return any(
        int(line[1], 16) <= address < int(line[2], 16) and line[3].endswith(b"p")
        for line in _line().finditer(table)
    )


def find(keys: Collection[FileKey]) -> dict[FileKey, list[Mapping]]:
    """Return all mappings of files, in all processes that this one may look into.

    Processes of other users are left out, unless this user is root. Mappings without
    permissions are left out, too: `sharray.system.pages` makes them. So are those whose
    first page was replaced by `remapping.map_nothing`: nobody uses them. A first page
    that was mapped apart counts as one mapping with the others.

    One pass over /proc serves all files.
    """
    found: dict[FileKey, list[Mapping]] = {key: [] for key in keys}
    marks = _marks(found)
    for pid in all_processes():
        try:
            table = _read(pid, "maps")
        except OSError:
            continue  # it has ended, or may not be looked into
        # Most processes have none of the files, which one search of the table shows.
        if not any(mark in table for mark in marks):
            continue
        _add_mappings(pid, table, found)
    return found


def _add_mappings(pid: int, table: bytes, found: dict[FileKey, list[Mapping]]) -> None:
    before = None
    for line in _line().finditer(table):
        key = line[5], line[6]
        if key in found and not line[3].startswith(b"---"):
            mapping = _mapping(pid, line)
            if mapping.offset == mmap.PAGESIZE and before and before[2] == line[1]:
                _add_after_first_page(mapping, before, found[key])
            else:
                found[key].append(mapping)
        before = line


def _add_after_first_page(
    mapping: Mapping, before: re.Match[bytes], mappings: list[Mapping]
) -> None:
    if before[3].startswith(b"---p"):
        return  # the rest of a kept mapping
    first = mappings[-1] if mappings else None
    place = mapping.pid, mapping.address - mmap.PAGESIZE, 0
    if first and (first.pid, first.address, first.offset) == place:
        mappings[-1] = first._replace(nbytes=first.nbytes + mapping.nbytes)
    else:
        mappings.append(mapping)


def _marks(keys: Collection[FileKey]) -> list[bytes]:
    """Return byte strings of which a table has at least one if it has any of the files.

    For many files, return their devices, which are few. Searching each table for each
    file would take quadratic time if one process has mapped them all.
    """
    if len(keys) <= _FEW:
        return [b" %b %b " % key for key in keys]
    return [b" %b " % device for device in {device for device, _ in keys}]


def all_processes() -> list[int]:
    """Return the numbers of all processes in /proc, in ascending order."""
    with contextlib.suppress(OSError):
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    return []


def _mapping(pid: int, line: re.Match[bytes]) -> Mapping:
    start, end, offset = (int(line[group], 16) for group in (1, 2, 4))
    return Mapping(pid, start, end - start, offset, line[3].decode())


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()
