"""The header of a file: from its bytes to dtype, order and shape.

This reads every header that `numpy.load` reads without pickle, with the same result.
Headers are not trusted. Their text is parsed, never evaluated; every descr is checked
before NumPy sees it; and sizes are Python integers, which do not wrap around.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

from ..errors import DtypeError, FormatError, ShapeError
from ..names import quote
from . import rows_field
from .dtypes import read_descr
from .format import (
    BLOCK,
    LONGEST_HEADER,
)
from .literal import read_literal

MAGIC = b"\x93NUMPY"
# By version: struct format of the length, and encoding of the text (NEP 1).
VERSIONS: dict[tuple[int, ...], tuple[str, str]] = {
    (1, 0): ("<H", "latin-1"),
    (2, 0): ("<I", "latin-1"),
    (3, 0): ("<I", "utf-8"),
}
_KEYS = {"descr", "fortran_order", "shape"}
_MAX_DIMS = 64  # of NumPy 2
_MAX_INTP = int(np.iinfo(np.intp).max)


class Header(NamedTuple):
    """The checked contents of a header."""

    # For a new array, the whole dtype, with the parts that a header leaves out.
    dtype: np.dtype[Any]
    fortran_order: bool
    shape: tuple[int, ...]
    data_offset: int
    nbytes: int
    checksum: int
    # Of a growable array: the position of its number of rows.
    growing: int | None = None

    @property
    def row_size(self) -> int:
        """Size of a row in bytes: of all that has one index of the growing axis."""
        before, _, after = rows_field.split(self.shape, self.fortran_order)
        return math.prod(before + after) * self.dtype.itemsize

    @property
    def rows(self) -> int:
        """Length of the axis that grows."""
        return rows_field.split(self.shape, self.fortran_order)[1]

    def with_rows(self, rows: int) -> Header:
        """Return the header of the same array with another number of rows."""
        before, _, after = rows_field.split(self.shape, self.fortran_order)
        return self._replace(shape=(*before, rows, *after), nbytes=rows * self.row_size)


def check_shape(shape: tuple[int, ...], itemsize: int) -> int:
    """Check that an array can have a shape, and return its size in bytes."""
    if len(shape) > _MAX_DIMS:
        raise ShapeError(f"expected at most {_MAX_DIMS} dimensions, got {len(shape)}")
    for index, n in enumerate(shape):
        if n < 0:
            raise ShapeError(
                f"expected dimensions of 0 or more, got a negative one at index {index}"
            )
    nbytes = math.prod(n or 1 for n in shape) * max(itemsize, 1)
    if nbytes > _MAX_INTP:
        # Not the number itself: Python refuses to print very large ones.
        raise ShapeError(
            f"expected at most 2**{_MAX_INTP.bit_length()} bytes, the limit of the "
            f"address space, got about 2**{nbytes.bit_length() - 1}"
        )
    return math.prod(shape) * itemsize


def checked(block: bytes) -> tuple[int, int | None]:
    """Return the checksum of a header without its number of rows, and where that is."""
    position = rows_field.find(block)
    if position is not None:
        block = rows_field.replaced(block, position, 0)
    return zlib.crc32(block), position


def full_length(start: bytes, path: str) -> int:
    """Return the length of a header in bytes, given the first bytes of the file.

    Raises
    ------
    FormatError
        The file is not a ``.npy`` file, or its header is too long.
    """
    if start[:6] != MAGIC:
        raise FormatError(
            f"{quote(path)} is not an array file: expected it to begin with {MAGIC!r}, "
            f"got {start[:6]!r}; only .npy files can be opened",
            path,
        )
    version = tuple(start[6:8])
    if version not in VERSIONS:
        raise FormatError(
            f"{quote(path)} has an unknown .npy version: expected one of "
            f"{sorted(VERSIONS)}, got {version}; write it again with numpy.save",
            path,
        )
    length_struct = VERSIONS[version][0]
    prefix = 8 + struct.calcsize(length_struct)
    if len(start) < prefix:
        raise FormatError(
            f"{quote(path)} ends within its header; the file was truncated: restore it "
            "from a backup",
            path,
        )
    (length,) = struct.unpack(length_struct, start[8:prefix])
    if prefix + length > LONGEST_HEADER:
        raise FormatError(
            f"{quote(path)} has too long a header: expected at most {LONGEST_HEADER} "
            f"bytes, got {prefix + length}; write it with fewer or shorter field names",
            path,
        )
    return prefix + int(length)


# A cache: programs open many files with equal headers, and parsing one takes 40 us. The
# key is only the start of the block, since hashing a whole block takes 1 us, and
# comparing it 0.1 us. The values are the block, its contents, and the descr.
_known: dict[bytes, tuple[bytes, Header, Any]] = {}
_KEY_SIZE = 128
_MOST_KNOWN = 256


def recall(start: bytes) -> Header | None:
    """Return the header at the start of a file if `decode` has seen it, else None."""
    found = _known.get(start[:_KEY_SIZE])
    if found is None or not start.startswith(found[0]):
        return None
    _, header, descr = found
    if header.dtype.names is None:
        return header
    # A user may rename the fields of a dtype in place, so each array gets its own.
    return header._replace(dtype=read_descr(descr))


def decode(block: bytes, path: str) -> Header:
    """Read and check a whole header, whose length is that of `full_length`.

    Raises
    ------
    FormatError
        `numpy.load` would not read this header without pickle.
    """
    try:
        header, descr = _decode(block)
    except DtypeError as error:
        raise FormatError(
            f"{quote(path)} has a bad header for a shared array: {error}; if you trust "
            "the file, read it with numpy.load(path, allow_pickle=True)",
            path,
        ) from None
    except ValueError as error:
        raise FormatError(
            f"{quote(path)} has a bad header: {error}; if numpy.load reads it, write "
            "it again with numpy.save, else restore it from a backup",
            path,
        ) from None
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    if _KEY_SIZE <= len(block) <= BLOCK:
        _known[block[:_KEY_SIZE]] = block, header, descr
    return header


def _decode(block: bytes) -> tuple[Header, Any]:
    version = tuple(block[6:8])
    length_struct, encoding = VERSIONS[version]
    body = block[8 + struct.calcsize(length_struct) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"expected {encoding} text, {error.reason}") from None
    literal = read_literal(text, of_python_2=version <= (2, 0))
    if not isinstance(literal, dict) or set(literal) != _KEYS:
        raise ValueError(f"expected a dict of {sorted(_KEYS)}, got {text[:80]!r}")
    fortran_order, shape = literal["fortran_order"], literal["shape"]
    if not isinstance(fortran_order, bool):
        raise ValueError("expected True or False as fortran_order")
    # The message leaves out the value, which Python may refuse to print.
    if not (isinstance(shape, tuple) and all(type(n) is int for n in shape)):
        raise ValueError("expected a tuple of integers as shape")
    dtype = read_descr(literal["descr"])
    if dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        if math.prod(inner) != 1 and 0 not in shape:
            raise ValueError("expected a subarray as part of the shape")
    nbytes = check_shape(shape, dtype.itemsize)
    header = Header(dtype, fortran_order, shape, len(block), nbytes, *checked(block))
    if header.growing is not None and not _can_grow(header, block, text):
        header = header._replace(growing=None, checksum=zlib.crc32(block))
    return header, literal["descr"]


def _can_grow(header: Header, block: bytes, text: str) -> bool:
    """Tell whether a field is the length of the axis that grows, and not other text.

    Another number in the field must change this axis, and nothing else.
    """
    assert header.growing is not None
    if not header.shape or header.row_size == 0:
        return False
    rows = header.rows + 1
    changed = rows_field.replaced(block, header.growing, rows)
    _, encoding = VERSIONS[tuple(block[6:8])]
    try:
        literal = read_literal(
            changed[len(block) - len(text.encode(encoding)) :].decode(encoding),
            of_python_2=tuple(block[6:8]) <= (2, 0),
        )
    except ValueError:
        return False
    expected = header.with_rows(rows).shape
    return isinstance(literal, dict) and literal["shape"] == expected
