"""Which processes have a file mapped, and where: the maps files of proc(5)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

# Device and inode as the maps files have them: on some file systems (btrfs, overlays)
# not those of stat(2), so they are read from there for the file in question, too.
FileKey = tuple[bytes, bytes]


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


def file_at(address: int) -> FileKey | None:
    """Which file this process has mapped from an address on; None if none."""
    table = b"\n" + _read(os.getpid(), "maps")
    # Of a thousand lines only this one is of interest.
    start = table.find(b"\n%08x-" % address)
    if start < 0:
        return None
    line = table[start + 1 : table.index(b"\n", start + 1)]
    device, inode = line.split(maxsplit=5)[3:5]
    return device, inode


def find(keys: Collection[FileKey]) -> dict[FileKey, list[Mapping]]:
    """All mappings of files, in all processes that this one may look into.

    Those of other users are left out, unless this process is root's; so is what
    nobody can read, by which `sharray.system.pages` looks at files.
    """
    found: dict[FileKey, list[Mapping]] = {key: [] for key in keys}
    inodes = [inode for _, inode in found]
    for pid in all_processes():
        for mapping, key in _maps(pid, inodes):
            if key in found and not mapping.permissions.startswith("---"):
                found[key].append(mapping)
    return found


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


def _maps(pid: int, inodes: Collection[bytes]) -> Iterator[tuple[Mapping, FileKey]]:
    """The mappings of files in a process; none if it has no file with these inodes."""
    try:
        table = _read(pid, "maps")
    except OSError:
        return  # it has ended, or may not be looked into
    # Most processes have none of the files: seen from the whole, without its lines.
    if not any(b" " + one + b" " in table for one in inodes):
        return
    for line in table.splitlines():
        addresses, permissions, offset, device, inode = line.split(maxsplit=5)[:5]
        if inode == b"0":
            continue
        start, end = (int(number, 16) for number in addresses.split(b"-"))
        place = start, end - start, int(offset, 16)
        yield Mapping(pid, *place, permissions.decode()), (device, inode)


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()
