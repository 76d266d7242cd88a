"""Messages: how a file carries arrays from one process to another, and comes back.

Such a file is an anonymous array of bytes that its sender keeps mapped and uses again:
pages that are there already take data five times faster than fresh ones. The words in
its trailer say whose turn it is::

             owner: claim              owner: all is copied
     FREE   --------------->  WRITING  -------------------->  IN_FLIGHT
      ^ ^   <---------------                                   |     |
      | |     owner: recall, before the message left           |     |
      | |                                                      |     |
      | +------------------------------------------------------+     |
      |   receiver: locks, copies the data; owner: locks, recalls    |
      |                                                              |
      +--------------------------  HELD  <---------------------------+
          receiver: arrays gone             receiver: locks, takes over

     FREE  --->  RETIRED    owner: the memory is given back
     HELD  --->  WRITING    owner: claim, if the lock is gone and HELD is left
     HELD  --->  IN_FLIGHT  receiver: sends the same data on, or back to the owner;
                            see `sharray.storage.messages.relay`

==============  =====================================  ===================
state           meaning                                may change it
==============  =====================================  ===================
``FREE``        nobody needs the data                  the owner
``WRITING``     the owner copies data into it          the owner
``IN_FLIGHT``   a message that names it is on its way  who has locked it: its
                                                       receiver; the owner, to
                                                       recall
``HELD``        arrays of the receiver lie in it       the receiver; the
                                                       owner without a lock
``RETIRED``     the owner has given its memory back    nobody
==============  =====================================  ===================

================  ==========================================  ===================
word              meaning                                     writer
================  ==========================================  ===================
STATE             see above                                   see above
GENERATION        number of this use                          the owner; the receiver,
                                                              to send on
OWNER             identity of the owner, 0 if it gave it up   the owner
CHANNEL           pipe that the message goes through, or 0    who sends
NAMESPACE         where that number means something           who sends
LOOK              look for a note before the next message:    anybody sets it, the
                  see `privileges` in this package            owner clears it
an entry          note of the handle on its way: see          who sends; the
                  `sharray.storage.lifetime.transit`          receiver clears it
lock, one byte    at `lock_offset`: the message is being      the receiver; the
                  received, or arrays lie in the file         owner, to recall
================  ==========================================  ===================

Invariants; the tests run owner and receivers in all orders of their steps.

- A state has one process that may leave it. IN_FLIGHT has several: each process that
  has the bytes of the message, and its owner. So whoever takes a message out of
  IN_FLIGHT locks its byte first, and looks at state and generation afterwards, in this
  order: the owner may send the next message between the two. Of two, one finds the byte
  locked, or the state or the generation changed. Only before the bytes have left, the
  owner recalls a message without the lock.
- HELD means a lock. The receiver locks before it says HELD, and unlocks after it has
  said FREE. The kernel unlocks for one that is killed, so HELD without a lock is free.
- A receiver that sends the data on has both bytes locked, of the old generation and of
  the next, while it changes GENERATION and says IN_FLIGHT. The owner may have read HELD
  or a generation before that. So it looks at HELD and asks for the lock, both twice,
  and reads the generation once more.
- The byte depends on the generation, so that a lock says nothing about other messages.
- A generation is used for one message. A message names it, so one that is delivered
  twice, or late, is recognised and never shows the data of another.
- Forked children have the lock too, as long as they have the memory.
- The lease (`sharray.storage.lifetime.lease`) answers another question: whether anybody
  has the file mapped at all, if only to use it for the next message.

A process that is killed leaves

==================================  ==============================================
killed                              left behind
==================================  ==============================================
owner, WRITING                      a file that the next process sweeps, once no
                                    receiver has it mapped
owner, before the message leaves    the same, with an entry: swept once nobody of
                                    its family, or no pipe, could have the message
owner, later                        the message; its receiver removes the file
receiver, before it says HELD       IN_FLIGHT until the pipe is gone: the bytes
                                    have been read, and nobody has the message
receiver, while it copies           the same
receiver, HELD                      HELD without a lock: the owner uses it again;
                                    an entry that is left is cleared by `claim`
receiver, FREE, before it unlocks   FREE; the kernel unlocks
receiver, sending on, still HELD    HELD without a lock, as above
receiver, sent on, before the       IN_FLIGHT until the pipe is gone, or both owner
bytes have left                     and family have ended
==================================  ==============================================
"""

from __future__ import annotations

from ..system import processes

FREE = 0
WRITING = 1
IN_FLIGHT = 2
HELD = 3
RETIRED = 4

# Files that are mapped at the same time: each takes two descriptors up to Python 3.12,
# and the program needs its own.
_MOST = 64
_PART_OF_DESCRIPTORS = 8
_LOCKS = 1 << 32


def most_files() -> int:
    """Return how many files may hold data; as many more may wait for some."""
    return min(_MOST, processes.descriptor_limit() // _PART_OF_DESCRIPTORS)


def lock_offset(size: int, generation: int) -> int:
    """Return the byte that the receiver of a message locks; it lies behind the file.

    Each message has a byte of its own. A receiver unlocks after it has said FREE, when
    the next message may have left already. With one byte for all, the receiver of that
    one would find it locked.
    """
    return size + generation % _LOCKS
