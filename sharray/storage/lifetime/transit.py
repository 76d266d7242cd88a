"""Handles in transit: sent by one process, not yet opened by another.

A worker may make an array, return it and drop it before the other side maps the file.
Nobody holds a lease then, so a note in the trailer keeps the file.

One entry of the trailer goes through these states::

                       sender: family, time, then the token
         free     ---------------------------------------->       counts
    token is 0 or   <------------------------------------   token is not that
    that received    receiver of this token: received          received
                     owner of a message: free for the next one    |
                                                                  v
                                                  lapses: `is_awaited` passes over it

====  ==============================  ================================================
word  meaning                         writer
====  ==============================  ================================================
0     token; 0 was never used         the sender
1     identity of the sender          the sender
2     identity of its family          the sender
3     time of sending, in seconds     the sender
4     the token received last         the receiver of a handle, the owner of a message
====  ==============================  ================================================

The last entry is for overflow. A sender that finds all others taken writes there, over
the words of the sender before. Nobody clears it. If senders of several families have
written there, sender and family are 0.

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

A process that ends passes over the entries of its own and of its family. So it passes
over the overflow entry only if that stands for its family alone.

Invariants

- Only processes that map the file write entries. `lease.reap` reads them under the
  exclusive lock, so nobody writes them at that time.
- The token is the last word of an entry that the sender writes. A reader that sees a
  token sees the other words of the same entry.
- Each word has one kind of writer. A receiver stores its token beside the sender's, and
  never over it. Between its look at the entry and its store, another delivery of the
  same pickle may have freed the entry, and another sender taken it. The late store then
  names a handle that is gone, and the newer one still counts.
- A token belongs to one handle. The first delivery frees its entry, and a second
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
receiver, mapped, entry not freed     the same, although nobody waits
====================================  ============================================

Reference counts would be unsound. A program may pickle a handle four times and deliver
one pickle, or pickle it once and deliver it twice.

Nobody locks an entry. Two processes that send the same array at the same time could
take the same entry, and one note would be lost. So each begins its search elsewhere.
Two that are the first to overflow at the same time could leave the name of one family.

Some entries belong to handles that the program may keep in a pickle. If one is left
when the array ends, `sharray.storage.lifetime.lost` warns.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

from ...system import clock, forks, open_channels, processes
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
_ENTRY_WORDS = 5
_RECEIVED = 4  # position in an entry
ENTRIES = (PAGE_WORDS - TRANSIT_WORD) // _ENTRY_WORDS
_OVERFLOW = ENTRIES - 1
_MAYBE_KEPT = 1 << 63  # in a token
_serials = itertools.count()


def _renew_serials() -> None:
    global _serials
    # From a random number: a process number comes back, and its tokens must not.
    _serials = itertools.count(int.from_bytes(os.urandom(4), "little"))


_renew_serials()
# Forks of one process would all begin with the same number.
forks.at_fork(after_in_child=_renew_serials)


class Entry(NamedTuple):
    """A handle that counts as on its way.

    Attributes
    ----------
    number : int
        Which entry it is.
    token, sender, family, sent : int
        Words 0 to 3.
    """

    number: int
    token: int
    sender: int
    family: int
    sent: int


def on_the_way(words: memoryview[int]) -> Iterator[Entry]:
    """Return the entries of a trailer page that are not free."""
    all_words = words[TRANSIT_WORD:PAGE_WORDS].tolist()
    for number in range(ENTRIES):
        start = number * _ENTRY_WORDS
        token, sender, family, sent, received = all_words[start : start + _ENTRY_WORDS]
        if token not in (0, received):
            yield Entry(number, token, sender, family, sent)


def _word(entry: int) -> int:
    return TRANSIT_WORD + entry * _ENTRY_WORDS


def _is_free(words: memoryview[int], entry: int) -> bool:
    word = _word(entry)
    token = words[word]
    return token == 0 or token == words[word + _RECEIVED]


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
    if not _is_free(words, entry):
        entry = _free_entry(words, entry)
        if entry == _OVERFLOW and _stands_for_others(words, family):
            sender = family = 0
    token = serial << 32 | (pid & 0xFFFFFF) << 8 | entry
    if maybe_kept:
        token |= _MAYBE_KEPT
    word = _word(entry)
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
        if _is_free(words, entry):
            return entry
    return _OVERFLOW


def _stands_for_others(words: memoryview[int], family: int) -> bool:
    """Tell whether the overflow entry has handles of another family, or of several."""
    word = _word(_OVERFLOW)
    return words[word] != 0 and words[word + 2] != family


def record_received(words: memoryview[int], token: int) -> None:
    """Free the entry of a handle that has arrived; unknown ones are ignored."""
    entry = token & 0xFF
    # Not without comparing: after an earlier delivery of the same pickle, the entry may
    # be another handle's, which has been received. That would count again. The overflow
    # entry stands for other handles, too.
    if entry < _OVERFLOW and words[_word(entry)] == token != 0:
        # Beside the token, not over it: it may be another's by now.
        words[_word(entry) + _RECEIVED] = token


def clear(words: memoryview[int]) -> None:
    """Free all entries: no handle of this file is on its way any more."""
    for entry in on_the_way(words):
        words[_word(entry.number) + _RECEIVED] = entry.token


def count(page: bytes) -> int:
    """Return how many entries of a trailer page are not free."""
    return sum(1 for _ in on_the_way(memoryview(page).cast("Q")))


def is_kept(page: bytes, ending: int) -> bool:
    """Tell whether some handle was never opened that may be in a pickle that is kept.

    Parameters
    ----------
    page : bytes
        The trailer page.
    ending : int
        See `is_awaited`. Only handles of this process and its family count.
    """
    return any(
        entry.token & _MAYBE_KEPT and ending in (entry.sender, entry.family)
        for entry in on_the_way(memoryview(page).cast("Q"))
    )


def is_sent_by(words: memoryview[int], family: int) -> bool:
    """Tell whether a process of this family has sent a handle that is under way."""
    return any(entry.family == family for entry in on_the_way(words))


def is_awaited(page: bytes, ending: int) -> bool:
    """Tell whether some handle may still arrive.

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
    for number, _, sender, family, sent in on_the_way(words):
        if ending and ending in (sender, family):
            continue
        if number == _OVERFLOW:
            # It names only the last of several senders, so their lives do not count.
            # A time in the future comes from another boot, or from damage.
            if 0 <= now - sent < OVERFLOW_GRACE:
                return True
        elif processes.is_alive(sender) or (is_message and processes.is_alive(family)):
            return True
        elif is_message and _knows_channel(words):
            # In the place of `GRACE`: a queue may hold the message for hours.
            return open_channels.find().may_have(words[CHANNEL_WORD])
        elif 0 <= now - sent < GRACE:
            return True
    return False


def _knows_channel(words: memoryview[int]) -> bool:
    """Tell whether this process can see all that may still read the message."""
    # This process cannot see the pipes of another container: all would seem closed.
    namespace = open_channels.namespace()
    return words[CHANNEL_WORD] != 0 and words[NAMESPACE_WORD] == namespace != 0
