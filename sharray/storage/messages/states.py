"""Messages: how a file carries arrays from one process to another, and comes back.

Such a file is an anonymous array of bytes that its sender keeps mapped and uses
again: pages that are there already take data five times faster than fresh ones.
The words in its trailer say whose turn it is:

==============  ==========================================  ====================
state           meaning                                     who may change it
==============  ==========================================  ====================
``FREE``        nobody needs the data                       the owner
``WRITING``     the owner copies data into it               the owner
``IN_FLIGHT``   a message that names it is on its way       its one receiver
``HELD``        arrays of the receiver lie in it            the receiver
``RETIRED``     the owner has given its memory back         nobody
==============  ==========================================  ====================

::

              owner: claim            owner: all is copied
      FREE  --------------->  WRITING  ------------------->  IN_FLIGHT
       ^                                                      |     |
       |             receiver has copied the data out         |     |
       +<-----------------------------------------------------+     |
       |             owner has the file back: the pipe is gone      |
       |                                                            |
       +<-----------------------  HELD  <---------------------------+
         receiver: arrays are gone     receiver: locks, then takes over

A process that is killed leaves: as the owner, a file that the next process sweeps once
nobody has it mapped; as a receiver before it has taken over, IN_FLIGHT until the pipe
is gone; after that, HELD without a lock, which means free.

Each use has a generation of its own. A message names it, so one that is delivered
twice, or late, is recognised and never shows the data of another.

A receiver locks the byte at `lock_offset` before it says ``HELD``, and lets go of
it after it has said ``FREE``. The kernel does the latter for one that is killed:
``HELD`` without a lock means free. Forked children have the lock too, for as long as
they have the memory.

The lease (`sharray.storage.lifetime.lease`) is another question: whether anybody has
the file mapped at all, if only to use it for the next message.
"""

from __future__ import annotations

from ...system import processes
from .. import trailer
from ..format import TRAILER_SIZE

FREE = 0
WRITING = 1
IN_FLIGHT = 2
HELD = 3
RETIRED = 4

# Files that are mapped at the same time: each takes two descriptors up to Python 3.12,
# and the program needs its own.
_MOST = 64
_PART_OF_DESCRIPTORS = 8


def most_files() -> int:
    """How many files may hold data, and as many wait for some, or be there to send."""
    return min(_MOST, processes.descriptor_limit() // _PART_OF_DESCRIPTORS)


def lock_offset(size: int) -> int:
    """The byte that a receiver locks, of a file of some size."""
    return size - TRAILER_SIZE + trailer.STATE_WORD * 8
