"""The library without one of its safeguards, which the torture tests must notice."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from sharray.storage import attaching, kept, location, naming
from sharray.storage.lifetime import lease, transit
from sharray.storage.segment import Segment
from sharray.system import files, locks


class _Altered:
    """A module in which some functions are replaced."""

    def __init__(self, module: ModuleType, **others: Callable[..., Any]) -> None:
        self._module = module
        self.__dict__.update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _always_named(fd: int) -> os.stat_result:
    fields = list(files.status(fd))
    fields[3] = 1  # st_nlink
    return os.stat_result(fields)


def attach_without_looking_for_the_name() -> None:
    """Between open and lock, a reaper may have removed the file."""
    attaching.files = _Altered(files, status=_always_named)


def reap_without_comparing_the_name() -> None:
    """Between open and lock, the name may have been given to a new file."""
    lease.files = _Altered(files, names_same_file=lambda *_, **__: True)


def name_before_the_file_is_complete() -> None:
    """Others may see it, and reap it before it is leased."""
    naming.files = _Altered(files, open_unnamed=lambda _: None)
    naming.location = _Altered(location, open_unnamed=lambda _: None)


def map_without_a_lease() -> None:
    """Nobody can tell that the file is in use."""
    locks.lock_shared = lambda *_: True


def reap_without_the_exclusive_lock() -> None:
    """It may be in use."""
    locks.lock_exclusive = lambda *_: True


def ignore_handles_in_transit() -> None:
    """Nobody holds an array whose handle is on its way."""
    transit.is_awaited = lambda *_: False


def use_kept_mappings_without_looking_for_the_name() -> None:
    """Between open and lock, a reaper may have removed the file."""
    kept.files = _Altered(files, has_name=lambda *_: True)
    Segment.is_of = lambda segment, found: segment.inode == found.st_ino


def use_kept_mappings_without_comparing_the_file() -> None:
    """The name may belong to a new file, and the mapping shows the old one."""
    Segment.is_of = lambda *_: True


def free_memory_that_ended_processes_show() -> None:
    """Their arrays still exist."""
    locks.is_byte_locked = lambda *_: False


# And how the torture notices.
MUTANTS = {
    attach_without_looking_for_the_name: "name_lost",
    reap_without_comparing_the_name: "name_lost",
    name_before_the_file_is_complete: "incomplete",
    map_without_a_lease: "name_lost",
    reap_without_the_exclusive_lock: "name_lost",
    ignore_handles_in_transit: "sent_lost",
    use_kept_mappings_without_looking_for_the_name: "crashed",
    use_kept_mappings_without_comparing_the_file: "crashed",
    free_memory_that_ended_processes_show: "crashed",
}
BY_NAME = {mutant.__name__: mutant for mutant in MUTANTS}
