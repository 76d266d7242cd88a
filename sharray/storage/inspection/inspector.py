"""Inspect files: what they are, who holds them, and how much is in memory.

Nothing here takes a lease, which would keep an array alive for being looked at, and
no data is read: a file may be truncated at any time.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from ...errors import SharrayError, StorageError
from ...names import is_in_ram
from ...system import command_lines, files, mappings, pages, process_names
from ...system.mappings import Mapping
from ...system.process_names import Process
from .. import staleness
from ..location import Location
from ..segment import Segment
from .holder import Holder
from .looking import Found, describe, keys_at, look_at_next
from .result import Inspection, Inspections


def inspect_file(place: Location) -> Inspection:
    """Inspect one file.

    Raises
    ------
    ArrayNotFoundError, AccessError, StorageError
        It cannot be opened.
    FormatError
        It is no array file.
    """
    (found,) = inspect_each([place])
    if isinstance(found, Inspection):
        return found
    raise found


def inspect_files(places: Iterable[Location]) -> Inspections:
    """Inspect files, sorted by name, without those that are gone, or no arrays.

    Raises
    ------
    StorageError
        This process has no descriptor or no memory left to look at them.
    """
    inspected = Inspections()
    for one in inspect_each(places):
        if isinstance(one, Inspection):
            inspected.append(one)
        elif isinstance(one, StorageError) and files.is_exhausted(one):
            raise one
    inspected.sort(key=lambda found: found.name)
    return inspected


def inspect_each(places: Iterable[Location]) -> list[Inspection | SharrayError]:
    """Inspect files, each with what it is or why it cannot be told.

    The tables of processes are read for all of them at once: this process's own once
    for every `_MOST_MAPPED` files, those of all processes once.
    """
    looks: list[Found | SharrayError] = []
    waiting = deque(places)
    while waiting:
        looks += look_at_next(waiting)
    found = iter(_with_holders([look for look in looks if isinstance(look, tuple)]))
    return [next(found) if isinstance(look, tuple) else look for look in looks]


def inspect_segment(segment: Segment, address: int) -> Inspection:
    """Inspect what this process has mapped at an address, even if it has no name."""
    stale = staleness.look(segment, address)
    path = segment.find_path()
    if path is not None and stale is None:
        return inspect_file(Location(path, is_in_ram(path)))
    is_whole = stale is None or stale.readable is None
    found = describe(
        segment.path,
        segment.header,
        segment.trailer,
        segment.size,
        bytes(segment.words) if segment.trailer is not None and is_whole else None,
    )
    resident = None
    with suppress(OSError, NotImplementedError):  # without mincore it stays None
        runs = pages.resident_runs(address, segment.size)
        resident = min(sum(length for _, length in runs), segment.size)
    found = found._replace(
        path=path,
        stale=None if stale is None else stale.problem,
        durable=False,
        resident=resident,
    )
    return _with_holders([(keys_at([address]).get(address), found)])[0]


def _with_holders(looks: list[Found]) -> list[Inspection]:
    """Look for the holders of all of them at once."""
    if not looks:
        return []
    found = mappings.find({key for key, _ in looks if key is not None})
    name = _namer()
    return [
        _with(one, _holders(found.get(key, []) if key else [], name))
        for key, one in looks
    ]


def _namer() -> Callable[[int], tuple[str, Process]]:
    """Return a function that names processes; one may hold many files."""
    identify = process_names.identifier()
    return functools.cache(lambda pid: (command_lines.command(pid), identify(pid)))


def _with(found: Inspection, holders: tuple[Holder, ...]) -> Inspection:
    """Add the holders; without locks, seeing one is the only proof of use."""
    if found.in_use is None and holders:
        found = found._replace(in_use=True)
    return found._replace(holders=holders)


def _holders(
    found: list[Mapping], name: Callable[[int], tuple[str, Process]]
) -> tuple[Holder, ...]:
    by_pid: dict[int, list[Mapping]] = {}
    for mapping in found:
        by_pid.setdefault(mapping.pid, []).append(mapping)
    holders = []
    for pid, ones in by_pid.items():
        command, process = name(pid)
        holders.append(Holder(pid, command, tuple(ones), process))
    return tuple(holders)
