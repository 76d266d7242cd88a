"""What the kernel says of the mapping of an array: /proc/self/smaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def _mappings(address: int, end: int) -> list[dict[str, str]]:
    """Return the rows of each mapping that has some of these addresses."""
    found: list[dict[str, str]] = []
    is_within = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, value = line.partition(":")
        if "-" in name.split()[0]:
            first, last = (int(word, 16) for word in name.split()[0].split("-"))
            is_within = first < end and address < last
            if is_within:
                found.append({})
        elif is_within:
            found[-1][name] = value.strip()
    return found


def nbytes(array: Any, name: str) -> int:
    """Return a row of the mappings below an array, in bytes: Rss, ShmemPmdMapped."""
    start = array.ctypes.data
    found = _mappings(start, start + array.nbytes)
    return sum(int(rows[name].split()[0]) << 10 for rows in found)


def flags(address: int) -> set[str]:
    """Return VmFlags at an address, such as ``rr``."""
    (found,) = _mappings(address, address + 1)
    return set(found["VmFlags"].split())
