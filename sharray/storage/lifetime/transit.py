"""Handles in transit: sent by one process, not yet opened by another.

A worker that makes an array, returns it and drops it has unmapped the file
before the other side has mapped it; for that while nobody holds a lease. So the
sender leaves an entry in the trailer, and the receiver clears it. A file with
an entry is not reaped while the sender lives, nor for `GRACE` seconds after
sending if the sender has ended since (a recycled worker). A message (see
`sharray.storage.messages.states`) is not reaped while the topmost process of the
sender's family lives either: who reads it from a queue an hour later knows of no
handles.
If it is known through which pipe or socket a message went, that decides in the place
of `GRACE`: as long as anybody has it open, the message may be read.

Counting references instead is unsound: one handle may be pickled four times and
delivered once, or delivered twice. Here the first delivery clears an entry; one
that never arrives is forgotten when its sender ends.

Entries are claimed without a lock. Two processes that send the same array within
the same microsecond could pick the same entry, so each starts its search
elsewhere. When all entries are taken, the last one stands for all further
handles: it cannot be cleared and lapses `OVERFLOW_GRACE` seconds after the last.

Some entries say that their handle may not be on its way at all, but in a pickle that
the program keeps. If one is left when the array ends, `sharray.storage.lifetime.lost`
tells.
"""

from __future__ import annotations

import itertools
import os

from ...system import channels, clock, processes
from ..messages.states import IN_FLIGHT
from ..trailer import (
    CHANNEL_WORD,
    NAMESPACE_WORD,
    PAGE_WORDS,
    STATE_WORD,
    TRANSIT_WORD,
)

GRACE = 60
OVERFLOW_GRACE = 600
_ENTRY_WORDS = 4
ENTRIES = (PAGE_WORDS - TRANSIT_WORD) // _ENTRY_WORDS
_OVERFLOW = ENTRIES - 1
_MAYBE_KEPT = 1 << 63  # in a token
_serials = itertools.count(int.from_bytes(os.urandom(4), "little"))


def _word(entry: int) -> int:
    return TRANSIT_WORD + entry * _ENTRY_WORDS


def record_sent(
    words: memoryview[int], *, to_strangers: bool = False, maybe_kept: bool = False
) -> int:
    """Enter a handle that is about to leave; returns the token it carries.

    A token holds, from its low bits up: 8 bits of entry, 24 of the sender's
    process number, 31 that count, and `maybe_kept`. No other handle in transit has it.

    Parameters
    ----------
    to_strangers : bool
        The receiver may be a process of another family: the sender's end does not mean
        that nobody waits for it.
    maybe_kept : bool
        No library that delivers pickles has asked for this one.
    """
    sender, family = processes.own_identity(), processes.family_identity()
    pid = sender >> 32
    if to_strangers:
        sender = family = 0
    serial = next(_serials) & 0x7FFFFFFF
    entry = (pid * 31 + serial) % _OVERFLOW
    if words[TRANSIT_WORD + entry * _ENTRY_WORDS] != 0:
        entry = _free_entry(words, entry)
    token = serial << 32 | (pid & 0xFFFFFF) << 8 | entry
    if maybe_kept:
        token |= _MAYBE_KEPT
    word = TRANSIT_WORD + entry * _ENTRY_WORDS
    words[word + 1] = sender
    words[word + 2] = family
    words[word + 3] = int(clock.monotonic())
    words[word] = token  # last: from now on the entry counts
    return token


def _free_entry(words: memoryview[int], start: int) -> int:
    for step in range(1, _OVERFLOW):
        entry = (start + step) % _OVERFLOW
        if words[_word(entry)] == 0:
            return entry
    return _OVERFLOW


def record_received(words: memoryview[int], token: int) -> None:
    """Clear the entry of a handle that has arrived; unknown ones are ignored."""
    entry = token & 0xFF
    if entry < _OVERFLOW and words[_word(entry)] == token != 0:
        words[_word(entry)] = 0


def count(page: bytes) -> int:
    """How many entries a trailer page has."""
    tokens = memoryview(page).cast("Q")[TRANSIT_WORD::_ENTRY_WORDS].tolist()
    return ENTRIES - tokens[:ENTRIES].count(0)


def is_kept(page: bytes, ending: int) -> bool:
    """Whether some handle was never opened that may be in a pickle that is kept.

    Parameters
    ----------
    page : bytes
        The trailer page.
    ending : int
        See `is_awaited`. Only handles of this process and its family count.
    """
    if not page[TRANSIT_WORD * 8 :].strip(b"\0"):
        return False
    words = memoryview(page).cast("Q")
    for entry in range(ENTRIES):
        token, sender, family, _ = words[_word(entry) : _word(entry + 1)]
        if token & _MAYBE_KEPT and ending in (sender, family):
            return True
    return False


def is_sent_by(words: memoryview[int], family: int) -> bool:
    """Whether a process of this family has sent a handle that is under way."""
    places = (TRANSIT_WORD + entry * _ENTRY_WORDS for entry in range(ENTRIES))
    return any(words[word] and words[word + 2] == family for word in places)


def is_awaited(page: bytes, ending: int) -> bool:
    """Whether some handle may still arrive.

    Parameters
    ----------
    page : bytes
        The trailer page.
    ending : int
        Identity of a process that is about to end and waits for nothing more,
        neither from itself nor from its family; 0 for none.
    """
    if not page[TRANSIT_WORD * 8 :].strip(b"\0"):
        return False
    words = memoryview(page).cast("Q")
    is_message = words[STATE_WORD] == IN_FLIGHT
    now = int(clock.monotonic())
    for entry in range(ENTRIES):
        token, sender, family, sent = words[_word(entry) : _word(entry + 1)]
        if token == 0 or (ending and ending in (sender, family)):
            continue
        if entry == _OVERFLOW:
            if 0 <= now - sent < OVERFLOW_GRACE:
                return True
        elif processes.is_alive(sender) or (is_message and processes.is_alive(family)):
            return True
        elif is_message and _knows_channel(words):
            return words[CHANNEL_WORD] in channels.channels_in_use()
        elif 0 <= now - sent < GRACE:
            return True
    return False


def _knows_channel(words: memoryview[int]) -> bool:
    """Whether it can be found out here if anybody may still read the message."""
    namespace = channels.namespace()
    return words[CHANNEL_WORD] != 0 and words[NAMESPACE_WORD] == namespace != 0
