"""Processes and files in RAM that a suite has left, and whether they may be left."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from sharray.storage import ending
from sharray.storage.format import TRAILER_SIZE
from sharray.storage.lifetime import transit

_LINGER = 30.0


@contextmanager
def ram_directory() -> Iterator[str]:
    """Make a directory in RAM, which also marks the processes of a suite.

    They have it in their environment, as SHARRAY_RAM_DIR.
    """
    with tempfile.TemporaryDirectory(prefix="sharray-peers-", dir="/dev/shm") as name:
        yield name


def processes_after_a_while(ram: str) -> list[str]:
    """Return the processes that have not ended after 30 s."""
    until = time.monotonic() + _LINGER
    while left := list(_processes_of(ram)):
        if time.monotonic() > until:
            return list(map(_describe, left))
        time.sleep(0.02)
    return []


def kill_all(ram: str) -> None:
    """Kill the processes of a suite.

    The resource trackers of multiprocessing and loky end by themselves after all
    others, and remove their semaphores then.
    """
    _kill(pid for pid in _processes_of(ram) if "resource_tracker" not in _describe(pid))
    until = time.monotonic() + _LINGER
    while any(_processes_of(ram)) and time.monotonic() < until:
        time.sleep(0.02)
    _kill(_processes_of(ram))


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue  # it has ended meanwhile


def _processes_of(ram: str) -> Iterator[int]:
    mark = f"SHARRAY_RAM_DIR={ram}".encode()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                yield int(name)
        except OSError:
            continue  # it has ended, or is another user's


def _describe(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return str(pid)


def unexpected(ram: str) -> list[str]:
    """Return the files that should not be there.

    A message through a socket with a name may be waited for by a process that nobody
    knows of, so it stays for `transit.GRACE` seconds, and then the next process
    removes it. The managers of multiprocessing answer a shutdown twice; the second
    answer is never read.
    """
    found = [path for path in _files_in(ram) if not _is_for_strangers(path)]
    if found:
        return found
    with mock.patch.object(transit, "GRACE", 0):
        for directory in {os.path.dirname(path) for path in _files_in(ram)}:
            ending.sweep(directory)
    return _files_in(ram)


def _files_in(ram: str) -> list[str]:
    return [os.path.join(top, name) for top, _, names in os.walk(ram) for name in names]


def _is_for_strangers(path: str) -> bool:
    page = Path(path).read_bytes()[-TRAILER_SIZE:]
    if len(page) != TRAILER_SIZE:
        return False
    words = memoryview(page).cast("Q")
    sent_by = {(entry.sender, entry.family) for entry in transit.on_the_way(words)}
    return sent_by == {(0, 0)}
