"""Which processes have a file mapped, and where: the maps files of proc(5)."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from typing import NamedTuple

# Device and inode as the maps files have them: on some file systems (btrfs, overlays)
# not those of stat(2), so they are read from there for the file in question, too.
FileKey = tuple[bytes, bytes]

# A line: addresses, permissions, offset, device and inode; proc(5).
_LINE = re.compile(rb"(\w+)-(\w+) (\S+) (\w+) (\S+) (\d+) *(.*)\n")
# Of so few files each can be searched for in a table, instead of reading its lines.
_FEW = 16
# What proc(5) adds to the path of a mapped file that was removed.
DELETED = " (deleted)"


class Mapping(NamedTuple):
    """A range of addresses of one process that shows a file.

    Attributes
    ----------
    pid : int
        Number of the process.
    address : int
        Where the range begins.
    nbytes : int
        How long it is.
    offset : int
        What it begins with, as a position in the file.
    permissions : str
        ``r``, ``w``, ``x`` or dashes, and ``s`` for shared or ``p`` for private.
    """

    pid: int
    address: int
    nbytes: int
    offset: int
    permissions: str


def files_at(addresses: Collection[int]) -> dict[int, FileKey]:
    """Return the files that this process has mapped from these addresses on.

    One look at the table answers for all addresses: it is as long as this process has
    mappings, so a look for each would take the square of their number.
    """
    wanted = {b"%08x" % address: address for address in addresses}
    return {
        wanted[line[1]]: (line[5], line[6])
        for line in _LINE.finditer(_read(os.getpid(), "maps"))
        if line[1] in wanted
    }


def path_at(address: int) -> str | None:
    """Where the file now is that this process has mapped from an address on.

    The system follows a file that is renamed, or whose directory is. It adds
    `DELETED` to the last path of one that was removed or replaced. None if there is
    no telling.
    """
    try:
        table = b"\n" + _read(os.getpid(), "maps")
    except OSError:
        return None  # no /proc
    # Of a thousand lines only this one is of interest.
    start = table.find(b"\n%08x-" % address)
    line = _LINE.match(table, start + 1) if start >= 0 else None
    return os.fsdecode(line[7].replace(rb"\012", b"\n")) or None if line else None


def find(keys: Collection[FileKey]) -> dict[FileKey, list[Mapping]]:
    """All mappings of files, in all processes that this one may look into.

    Those of other users are left out, unless this process is root's; so is what
    nobody can read, by which `sharray.system.pages` looks at files.

    One pass of /proc answers for all files.
    """
    found: dict[FileKey, list[Mapping]] = {key: [] for key in keys}
    marks = _marks(found)
    for pid in all_processes():
        try:
            table = _read(pid, "maps")
        except OSError:
            continue  # it has ended, or may not be looked into
        # Most processes have none of the files: seen from the whole, without its lines.
        if not any(mark in table for mark in marks):
            continue
        for line in _LINE.finditer(table):
            key = line[5], line[6]
            if key in found and not line[3].startswith(b"---"):
                found[key].append(_mapping(pid, line))
    return found


def _marks(keys: Collection[FileKey]) -> list[bytes]:
    """Return what a table holds if it tells of any of these files.

    Of many files only their devices, which are few: a search for each file in each
    table would take the square of their number where one process has them all.
    """
    if len(keys) <= _FEW:
        return [b" %b %b " % key for key in keys]
    return [b" %b " % device for device in {device for device, _ in keys}]


def all_processes() -> list[int]:
    """Numbers of all processes that /proc shows, in ascending order."""
    with contextlib.suppress(OSError):
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    return []


def command(pid: int) -> str:
    """The command line of a process, or its name if it shows none."""
    with contextlib.suppress(OSError):
        words = _read(pid, "cmdline").rstrip(b"\0").split(b"\0")
        line = " ".join(os.fsdecode(word) for word in words)
        return line or os.fsdecode(_read(pid, "comm").strip())
    return ""


def _mapping(pid: int, line: re.Match[bytes]) -> Mapping:
    start, end, offset = (int(line[group], 16) for group in (1, 2, 4))
    return Mapping(pid, start, end - start, offset, line[3].decode())


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()
