"""Handles in transit: sent by one process, not yet opened by another.

A worker may make an array, return it and drop it before the other side maps the file.
Nobody holds a lease then, so a note in the trailer keeps the file.

One entry of the trailer goes through these states::

                     sender: family, time, then the token
      free   -------------------------------------------->   counts
    token == 0   <--------------------------------------   token != 0
                 receiver of this token: token = 0             |
                 owner of a message, at the next claim         |
                                                               v
                                               lapses: `is_awaited` passes over it

====  ============================  ==================================================
word  meaning                       writer
====  ============================  ==================================================
0     token; 0 means free           the sender; its receiver clears it, as does the
                                    owner of a message
1     identity of the sender        the sender
2     identity of its family        the sender
3     time of sending, in seconds   the sender
====  ============================  ==================================================

The last entry is for overflow. A sender that finds all others taken writes there, over
the words of the sender before. Nobody clears it.

When an entry keeps its file:

=====================================  ===========================================
handle                                 as long as
=====================================  ===========================================
of an array                            the sender lives, or `GRACE` s after sending
of an array, to strangers              `GRACE` s after sending
of a message                           also as long as its family's topmost
                                       process lives: it may read a queue an hour
                                       later, and knows of no handles
of a message, through a known pipe     once both have ended, somebody has the pipe
                                       open; `GRACE` does not count
in the overflow entry                  `OVERFLOW_GRACE` s after the last sending
=====================================  ===========================================

A process that ends passes over the entries of its own and of its family.

Invariants

- Only processes that map the file write entries. `lease.reap` reads them under the
  exclusive lock, so nobody writes them at that time.
- The token is the last word of an entry that is written, and the only one that is
  cleared. A reader that sees a token sees the other words of the same entry.
- A token belongs to one handle. The first delivery clears its entry, and a second
  delivery of the same pickle finds a token that is not its own.

A process that is killed leaves

====================================  ============================================
killed                                left behind
====================================  ============================================
sender, before it writes the token    a free entry; the next sender overwrites it
sender, before the pickle leaves      an entry that lapses after `GRACE` s
sender, after that                    the same: the receiver has `GRACE` s left
receiver, before it maps              the entry of a living sender; it stays until
                                      the sender has ended
receiver, mapped, entry not cleared   the same, although nobody waits
====================================  ============================================

Reference counts would be unsound. A program may pickle a handle four times and deliver
one pickle, or pickle it once and deliver it twice.

Nobody locks an entry. Two processes that send the same array at the same time could
take the same entry, and one note would be lost. So each begins its search elsewhere.

Some entries belong to handles that the program may keep in a pickle. If one is left
when the array ends, `sharray.storage.lifetime.lost` warns.
"""

from __future__ import annotations

import itertools
import os

from ...system import channels, clock, processes
from ..message_states import IN_FLIGHT
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
# From a random number: a process number comes back, and its tokens must not.
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
    sender, family = processes.own_stamp(), processes.family_stamp()
    pid = sender >> 32
    if to_strangers:
        # Nobody is alive as process 0, so that only `GRACE` counts. With this process
        # as the sender, its end would forget a handle that a stranger waits for.
        sender = family = 0
    serial = next(_serials) & 0x7FFFFFFF
    # Elsewhere for each process and each handle: between the look at an entry and the
    # store of the token, another sender may take the same one.
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
    # Last. A token beside the words of the previous sender would count for that one. If
    # it has ended, a reaper removes the file.
    words[word] = token
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
    # Not without comparing: the entry may have been cleared by an earlier delivery of
    # the same pickle, and be another handle's since. The overflow entry stands for
    # other handles, too.
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
            # It names only the last of several senders, so their lives do not count.
            # A time in the future comes from another boot, or from damage.
            if 0 <= now - sent < OVERFLOW_GRACE:
                return True
        elif processes.is_alive(sender) or (is_message and processes.is_alive(family)):
            return True
        elif is_message and _knows_channel(words):
            # In the place of `GRACE`: a queue may hold the message for hours.
            return channels.open_channels().may_have(words[CHANNEL_WORD])
        elif 0 <= now - sent < GRACE:
            return True
    return False


def _knows_channel(words: memoryview[int]) -> bool:
    """Whether it can be found out here if anybody may still read the message."""
    # This process cannot see the pipes of another container: all would seem closed.
    namespace = channels.namespace()
    return words[CHANNEL_WORD] != 0 and words[NAMESPACE_WORD] == namespace != 0
