r"""The file format, version 1.

An array file is a valid ``.npy`` file, followed by padding and one page more::

    +--------------+---------------------------+------------+
    | header block | data, zero padding        | trailer    |
    | 4096 or more | a multiple of 4096        | 4096       |
    +--------------+---------------------------+------------+

Any reader of ``.npy`` opens it: NumPy ignores what follows the data. All
numbers outside the data are little-endian.

Header block
------------
The header of NumPy's NEP 1, version 1.0: the magic ``\x93NUMPY``, two version
bytes, the length of the rest (u16), then a Python dictionary literal with the
keys ``descr``, ``fortran_order`` and ``shape`` in this order, spaces, and a
newline. The spaces make the block end at byte 4096, so that the data begins on
a page. Where a structured dtype of many fields needs more, it ends at byte 8192 or
9984, or else at a multiple of 4096 (`numpy.load` refuses texts of more than 10,000
characters unless it is told by ``max_header_size``), up to 1 MiB. A length that two
bytes cannot hold makes it a version 2.0 header, with a length of four bytes, and
field names that Latin-1 does not have a version 3.0 header: UTF-8, and four bytes.
The header is never pickled, and object dtypes are refused. The header of an
anonymous array says bytes (``|V8``) where it cannot say the dtype: handles do.

Data
----
The elements in C or Fortran order, then zeros to a multiple of 4096. The
region may be longer than the shape needs: its length is the capacity.

Trailer page
------------
=======  =====  ==============================================================
offset   type   meaning
=======  =====  ==============================================================
0        8 s    magic ``\x93SHARRAY``
8        u16    version of this format, 1
10       u16    kind: 0 has a name, 1 is anonymous (ends with its last holder)
12       u32    0
16       16 s   uuid, random: tells a file from one that got its inode later
32       u64    offset of the data
40       u64    capacity, bytes
48       i64    time of creation, ns since 1970
56       u32    CRC-32 of bytes 0 to 55
60       u32    0
64       u64    generation: one more each time the file is used anew; from 0
72       u64    owner: the process that uses it for messages; 0 for none
80       u64    channel: inode of the pipe that the message went through, or of
                the socket at the other end; 0 if unknown
88       u64    inode of the PID namespace in which the channel can be found
96       u64    1: the owner has to look for a note before it sends a message
                (`sharray.storage.messages.privileges`)
128      u64    state: 0 clean, 1 header or data are being rewritten; of a file
                for messages also 2 in flight, 3 held, 4 retired
                (`sharray.storage.messages.states`)
192      u64    fault: errno of the first flush that failed, 0 for none
256      4 u64  120 entries of handles in transit: token (0: free), sender,
                the sender's family, time sent (s, CLOCK_MONOTONIC); the last
                entry stands for all handles that found no free one;
                the highest bit of a token: perhaps it is in a pickle that is
                kept (`sharray.storage.lifetime.lost`)
=======  =====  ==============================================================

Bytes 0 to 63 never change. The words after them change under all processes
that have the file mapped, each by stores of eight aligned bytes, and nothing in
them can keep the file from being opened. Owner, sender and family (the topmost
of the processes that have started each other) are a process number shifted left
by 32 bits, plus the low half of the start time of that process in clock ticks.

A file has a trailer if at least 4096 bytes follow the data and the last 4096
begin with the magic. A ``.npy`` file without one is foreign: it opens, and what
needs the trailer does without.
"""

from __future__ import annotations

BLOCK = 4096
# `numpy.load` refuses longer texts unless it is told, by max_header_size.
LONGEST_FOR_NUMPY = 10_000
DATA_ALIGNMENT = 64
LONGEST_BLOCK_FOR_NUMPY = LONGEST_FOR_NUMPY // DATA_ALIGNMENT * DATA_ALIGNMENT
LONGEST_HEADER = 1 << 20
TRAILER_SIZE = 4096

VERSION = 1
KIND_NAMED = 0
KIND_ANONYMOUS = 1


def round_up(nbytes: int) -> int:
    """The next multiple of a block.

    Examples
    --------
    >>> round_up(0), round_up(1), round_up(4096), round_up(4097)
    (0, 4096, 4096, 8192)
    """
    return -(-nbytes // BLOCK) * BLOCK
