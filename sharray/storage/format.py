r"""The two layouts of an array file: on a disk, and in RAM.

A file on a disk
----------------
It has the bytes that `numpy.save` writes for the same values: the header of NEP 1,
padded with spaces to a multiple of 64 bytes, and the data. Programs that read ``.npy``
files may demand both, so nothing follows the data. `sharray.storage.control_page` keeps
what processes share about it.

A file in RAM, version 1
------------------------
It is below the RAM directory, where nobody else reads it. It is a ``.npy`` file, too,
but its header fills pages, and one more page follows::

    +--------------+---------------------------+------------+
    | header block | data, zero padding        | trailer    |
    | 4096 or more | a multiple of 4096        | 4096       |
    +--------------+---------------------------+------------+

All numbers outside the data are little-endian.

Header block in RAM
-------------------
The header of NEP 1, version 1.0: the magic ``\x93NUMPY``, two version
bytes, the length of the rest (u16), then a Python dictionary literal with the
keys ``descr``, ``fortran_order`` and ``shape`` in this order, spaces, and a
newline. The spaces make the block end at byte 4096, so that the data begins on a page.

A structured dtype of many fields may need a longer block. It then ends at byte 8192 or
9984, or else at a multiple of 4096, up to 1 MiB. (`numpy.load` refuses texts of more
than 10,000 characters, unless ``max_header_size`` allows them.) If two bytes cannot
hold the length, the header has version 2.0, with a length of four bytes. If Latin-1
cannot encode a field name, it has version 3.0: UTF-8, and a length of four bytes.

The header is never pickled, and object dtypes are refused. If the header of an
anonymous array cannot describe the dtype, it describes bytes (``|V8``). The handles of
the array have the dtype.

Data in RAM
-----------
The elements in C or Fortran order, then zeros to a multiple of 4096. The region may be
longer than the shape needs. Its length is the capacity.

Trailer page
------------
=======  =====  ==============================================================
offset   type   meaning
=======  =====  ==============================================================
0        8 s    magic ``\x93SHARRAY``
8        u16    version of this format, 1
10       u16    kind: 0 named, 1 anonymous (lives until its last holder ends)
12       u32    0
16       16 s   random uuid, since a later file can have the same inode
32       u64    offset of the data
40       u64    capacity, bytes
48       i64    time of creation, ns since 1970
56       u32    CRC-32 of bytes 0 to 55
60       u32    0
64       u64    generation, from 0: incremented each time the file is reused
72       u64    owner: the process that uses it for messages; 0 for none
80       u64    channel: inode of the pipe that carried the message, or of the
                socket at the other end; 0 if unknown
88       u64    inode of the PID namespace in which the channel can be found
96       u64    1: the owner must look for a note before it sends a message
                (`sharray.storage.messages.privileges`)
104      u64    1: processes may have the file mapped that do not use it; who
                removes it frees its memory (`sharray.storage.kept`)
128      u64    state: 0 clean, 1 header or data are being rewritten; of a file
                for messages also 2 in flight, 3 held, 4 retired
                (`sharray.storage.message_states`)
192      u64    fault: errno of the first flush that failed, 0 for none
256      5 u64  96 entries of handles in transit: token, sender, the sender's
                family, time sent (s, CLOCK_MONOTONIC), the token received last;
                free if the token is 0 or that one; the last
                entry stands for all handles for which no entry was free; the
                highest bit of a token: the handle may be in a pickle that is
                kept (`sharray.storage.lifetime.lost`)
=======  =====  ==============================================================

Bytes 0 to 63 never change. The words after them may change while processes have the
file mapped, by stores of eight aligned bytes. No value in them can prevent opening the
file. Owner, sender and family are processes: the process number, shifted left by 32
bits, plus the low half of the start time in clock ticks. The family of a process is the
topmost of its ancestors by fork or `multiprocessing`, or the process itself.

A file in RAM has a trailer if at least 4096 bytes follow the data and the last 4096
begin with the magic. A ``.npy`` file that another program has put there has none. It
opens as a file on a disk does.
"""

from __future__ import annotations

BLOCK = 4096
# `numpy.load` refuses longer texts, unless its max_header_size allows them.
LONGEST_FOR_NUMPY = 10_000
DATA_ALIGNMENT = 64
LONGEST_BLOCK_FOR_NUMPY = LONGEST_FOR_NUMPY // DATA_ALIGNMENT * DATA_ALIGNMENT
LONGEST_HEADER = 1 << 20
TRAILER_SIZE = 4096

VERSION = 1
KIND_NAMED = 0
KIND_ANONYMOUS = 1


def round_up(nbytes: int, step: int = BLOCK) -> int:
    """Round a number of bytes up to a multiple of `step`, the block size by default.

    Examples
    --------
    >>> round_up(0), round_up(1), round_up(4096), round_up(4097)
    (0, 4096, 4096, 8192)
    """
    return -(-nbytes // step) * step
