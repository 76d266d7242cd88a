"""Processes that drop their privileges, as the workers of daemons do.

Messages lie in files that only their user may open, so a worker that was started by
root and has become somebody else could receive none. Before it changes its user, it

1. leaves a note for its family, an empty file that it holds locked: from then on root's
   processes send through the pipe, until no such worker lives any more;
2. maps all files for messages, has their owners look for the note, and keeps those with
   messages of its family that are on their way.

A look costs 6 us, so an owner looks only if the word LOOK of its file says so, as that
of each new file does::

    owner                              worker
    1. state = IN_FLIGHT               1. leave the note
    2. LOOK? if 0, send                2. fence in every process
    3. LOOK = 0                        3. LOOK = 1, in every file
    4. the note? if none, send         4. fence in every process
    5. LOOK = 1, use the pipe          5. keep each file whose state is IN_FLIGHT

Each process stores first, and looks at the other's word afterwards. So at least one of
them sees the other, and no message goes where nobody may open it:

- If the owner reads LOOK before the worker has set it, its IN_FLIGHT came earlier, and
  the worker keeps the message.
- If the owner finds no note, its LOOK = 0 came earlier. The worker's LOOK = 1 comes
  after it, and makes the owner look before its next message.

Processors let loads overtake stores. The fences of the worker make the order hold in
the owners as well, which would otherwise need one for each message.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ...system import files, interrupts, processes
from .. import location
from ..lifetime import lease
from . import inbox

# The note's descriptor: its lock ends with this process, or its last forked child.
_note: int | None = None


def must_use_pipe() -> bool:
    """Tell whether a receiver of this process may be unable to open its files."""
    if os.geteuid() != 0:
        return False  # nobody else can change the user
    path = _note_path()
    return os.path.lexists(path) and not lease.reap(path)


def prepare_for_change() -> None:
    """Make sure that messages arrive after this process has changed its user."""
    global _note
    directory = location.anonymous_directory()
    location.make_ram_directories(directory)
    path = _note_path()
    with interrupts.deferred():
        while _note is None:
            fd = _open(path)
            lease.hold(fd, path)
            # After the lock: a note that was reaped before it is one that nobody sees.
            if files.status(fd).st_nlink:
                _note = fd
            else:
                files.close(fd)  # somebody reaped it before it was locked
    # After the note. The other way round, a process that looks for it in between finds
    # none, and its message is not among those that were mapped.
    inbox.keep_messages_of(processes.family_stamp(), directory)


def withdraw() -> None:
    """Remove the note: the user is the same as before."""
    global _note
    with interrupts.deferred():
        if _note is not None:
            files.close(_note)  # before: its lock would keep the note
            _note = None
            lease.reap(_note_path())


def _open(path: str) -> int:
    with suppress(FileExistsError):
        return files.open_new(path)
    return files.open_existing(path, writable=True, follow=False)


def _note_path() -> str:
    """Return where the note of this process's family is, if there is one."""
    name = f"{processes.family_stamp():016x}.dropped"
    return os.path.join(location.anonymous_directory(), name)
