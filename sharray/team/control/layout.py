"""The layout of the control block, the words by which a team's processes communicate.

All words are int64, in one block of memory that all processes map. Words that
different processes write at the same time are in separate cache lines (8 words).

The gate says which run is open, and how many workers are inside: the number of the
run in the upper 32 bits, then one bit for closed, then a count::

                caller: run << 32              a member without a chunk,
                                               or the caller to cancel
    closed, 0  ------------------->  open, n  --------------------->  closed, n
        ^                             ^   |                               |
        |                             +---+                               |
        |                  worker joins: n + 1                            |
        |                  worker leaves: n - 1                           |
        +-----------------------------------------------------------------+
                  last worker leaves, adds 1 to FINISHED, wakes the caller

A late worker finds the gate closed and delays nobody. A run is over when the gate is
closed and nobody is inside.

The bell is a number that differs for each run or command. A worker sleeps until it
changes::

      caller                            worker
      store BELL                        add 1 to SLEEPERS
      SLEEPERS > 0? wake all            sleep if BELL is still the old one

Each reads the other's word after it has written its own, so at least one of the two
sees the other. No worker sleeps through the bell.

A chunk of a dynamic run is one or several grains, claimed by an atomic add::

      NEXT = n  -- member adds k, gets n -->  CURRENT  -- kernel -->  DONE + its length
                   (n >= CHUNKS: none left)       |
                                                  +-- raises -->  RAISED, CANCEL

`sharray.team.control.claims` explains how many grains a member claims.

Invariants

- The words of a run are written while the gate is closed and nobody is inside.
- A worker counts itself in the gate before it reads these words.
- Every grain has one owner. It got the numbers from NEXT, or computed them from its own
  number in a static run.
- A worker that counts in the gate has the run's number in INSIDE. It writes INSIDE
  before it counts, and clears it after it no longer counts.
- SLEEPERS is never less than the number of sleepers.

====================  ======================================================
word                  writer
====================  ======================================================
GATE                  the caller opens, workers count, both close
NEXT                  members, by adding; the caller before it opens the gate
PACE                  member 0 when no grain is left; the caller
BELL, COMMANDS, STOP  the caller
SLEEPERS              workers; the caller for one that was killed asleep
FINISHED              the last worker that leaves
CALLER_SLEEPS         the caller
CANCEL                a member whose kernel raised, the caller
words of the run      the caller, before it opens the gate
words of a member     that member; the caller, before it opens the gate
====================  ======================================================

A process that is killed leaves

==============================  =====================================================
killed                          left behind
==============================  =====================================================
worker, asleep                  1 too many in SLEEPERS, and ASLEEP: the caller
                                subtracts the 1 when it replaces the worker
worker, just before or after    1 too many in SLEEPERS for ever: each run costs one
its sleep                       more system call
worker, INSIDE written, not     nothing was done, but the caller cannot know that,
counted                         and reports a death
worker, counted                 a count above 0: the caller checks every 50 ms, finds
                                INSIDE and no process, and cancels the run
worker, with new grains from    the same; the error names the chunk before or none,
NEXT, before CURRENT            since only NEXT tells of the new one
worker, leaves: not counted     INSIDE: the run goes on or is over, but the caller
any more, INSIDE still there    reports a death if it checks before the end
worker, before it wakes the     a closed gate: the caller checks every 50 ms
caller
caller                          workers that end by themselves: each waits for the
                                end of its parent; then the kernel frees the block
==============================  =====================================================
"""

from __future__ import annotations

# -- shared by all -----------------------------------------------------------

GATE = 0
NEXT = 8  # dynamic: the next grain; static: how many members have finished
PACE = 9  # 1024 times the mean ns per grain of the run before; 0 if unknown
BELL = 16  # number of the last run or command; workers sleep on it
SLEEPERS = 24  # number of workers that sleep
FINISHED = 32  # grows when the last worker leaves; the caller sleeps on it
CALLER_SLEEPS = 33
CANCEL = 48  # no member begins another chunk
COMMANDS = 56  # grows when messages wait for the workers
STOP = 57
CALLER = 58  # stamp of the process that owns the team: see sharray.system.processes

# Words of the run, written before the gate opens.
PROGRAM = 40
LENGTH = 41
CHUNK = 42  # see sharray.team.schedule.Chunking
SHIFT = 43
CHUNKS = 44  # the number of grains
STATIC = 45
MEMBERS = 46
CALLER_CORE = 47  # the caller's core when it opened the last run; -1 if it only waits

ADAPTS = (
    49  # 1 if members choose how many grains they claim; beside CANCEL, read as often
)

# Names for people, UTF-8: only `sharray.teams` and the names of processes use them.
KERNEL_NAME = 64
TEAM_NAME = 72
NAME_SIZE = 64  # bytes

# -- of each member ----------------------------------------------------------

FIRST_MEMBER = 80
MEMBER_SIZE = 64
INSIDE = 0  # number of the run that it takes part in, 0 if in none
CURRENT = 1  # the begin of the chunk that it works on; -1 if it had none
DONE = 2  # the length of all chunks that it has done
RAISED = 3  # 1 if a chunk raised, SENT_VALUE if a message with a value can be read
ASLEEP = 4
PID = 5
CURRENT_END = 6
SENT_VALUE = 2
PLACE = 30  # its number, and the number of members: never changes
OUTCOME = 32  # 256 bytes: see sharray.kernels.outcome
BLOCK = 33  # its second word

# -- arguments of the kernel -------------------------------------------------

MOST_SLOTS = 4096

CLOSED = 1 << 31
COUNT = CLOSED - 1
LAST_RUN = (1 << 31) - 1  # numbers start again at 1 after it
EVERYBODY = (1 << 31) - 1

# -- private memory of each process ------------------------------------------

MEMBER = 0
LAST = 1  # the last number heard from BELL
SPIN_NS = 2  # time to spin before sleeping
SEEN = 3  # number of commands carried out
TO_LEAVE = 4  # 1 from joining a run until the worker leaves it
STATUS = 5  # status that the kernel returned
ERROR = 6  # address of its error
PHASE = 7
ENTRY = 8  # address of the kernel, for the caller
TAKES_PART = 9
RUN = 10
MOVED = 11  # when the worker last moved to another core
CALLING = 12  # 1 while Python calls the function for a chunk
BEGIN = 13  # of the chunk
END = 14
# See `sharray.team.control.claims`.
CLAIMED = 15  # grains of the chunk
BEGAN = 16  # when the chunk began
WANTED = 17  # grains of the next chunk
LEAST = 18  # the same, even if few are left
CONSTANT = 19  # time of a chunk that does not depend on its grains
SHORTEST = 20  # the least time of a chunk in this run
LAST_GRAINS = 21  # of the last chunk that was measured
LAST_TOOK = 22
TAKEN = 23  # grains measured in this run
SINCE = 24  # when this member began the run
TURN = 25  # number of chunks that it took of a static run
QUIET = 26  # 1 if the caller has not rung for this run
FIRST = 27  # the first grain of the run, for the caller
OWN_SIZE = 32

# Why native code returns to Python.
FINISHED_RUN = 0
KERNEL_RAISED = 1
PAUSED = 2
COMMANDED = 3
STOPPED = 4
CROWDED = 5
CALL = 6  # a chunk is a call of a Python function
CALLED_ALL = 7  # and no chunk is left

# Phases of a run, for the caller.
OPENING = 0
WORKING = 1
WAITING = 2


def slots_start(members: int) -> int:
    """Return the first word of the arguments."""
    return FIRST_MEMBER + members * MEMBER_SIZE


def size(members: int) -> int:
    """Return the number of words of a block."""
    return slots_start(members) + MOST_SLOTS


def members(words: int) -> int:
    """Return the number of members of a block of so many words."""
    return (words - FIRST_MEMBER - MOST_SLOTS) // MEMBER_SIZE


def member(number: int) -> int:
    """Return the first word of a member."""
    return FIRST_MEMBER + number * MEMBER_SIZE
