"""What the processes of a test module have left in RAM, and whether they may."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from unittest import mock

from sharray.storage import ending, transit
from sharray.storage.format import TRAILER_SIZE


def files_in(ram: str) -> list[str]:
    """All files below a directory."""
    return [os.path.join(top, name) for top, _, names in os.walk(ram) for name in names]


def unexpected(ram: str) -> list[str]:
    """The files that should not be there.

    A message through a socket with a name may be waited for by a process that nobody
    knows of, so it stays for `transit.GRACE` seconds, and then the next process
    removes it. The managers of multiprocessing answer a shutdown twice; the second
    answer is never read.
    """
    found = [path for path in files_in(ram) if not _is_for_strangers(path)]
    if found:
        return found
    later = time.time() + transit.GRACE + 1
    with mock.patch.object(time, "time", return_value=later):
        for directory in {os.path.dirname(path) for path in files_in(ram)}:
            ending.sweep(directory)
    return files_in(ram)


def _is_for_strangers(path: str) -> bool:
    page = Path(path).read_bytes()[-TRAILER_SIZE:]
    if len(page) != TRAILER_SIZE:
        return False
    words = memoryview(page).cast("Q")
    places = [transit._word(entry) for entry in range(transit.ENTRIES + 1)]
    entries = [words[begin:end] for begin, end in itertools.pairwise(places)]
    sent_by = {(sender, parent) for token, sender, parent, _ in entries if token}
    return sent_by == {(0, 0)}
