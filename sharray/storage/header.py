"""The header block: bytes to dtype, order and shape, and back.

Whatever `numpy.load` reads without pickle, this reads, and equally. But headers come
from files that anybody may have written: a text is parsed, never evaluated, every
descr is checked before NumPy sees it, and sizes are Python integers, which do not
wrap.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

from ..errors import DtypeError, FormatError, ShapeError
from .dtypes import describe, read_descr
from .format import (
    BLOCK,
    LONGEST_BLOCK_FOR_NUMPY,
    LONGEST_HEADER,
    round_up,
)
from .literal import read_literal

_MAGIC = b"\x93NUMPY"
# Version to the struct of the length, and the encoding of the text: NEP 1.
_VERSIONS: dict[tuple[int, ...], tuple[str, str]] = {
    (1, 0): ("<H", "latin-1"),
    (2, 0): ("<I", "latin-1"),
    (3, 0): ("<I", "utf-8"),
}
_KEYS = {"descr", "fortran_order", "shape"}
_LONGEST_VERSION_1 = 65_535
_MAX_DIMS = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32
_MAX_INTP = int(np.iinfo(np.intp).max)


class Header(NamedTuple):
    """What a header says, checked."""

    # Of a new array: all of it, also what a header leaves out.
    dtype: np.dtype[Any]
    fortran_order: bool
    shape: tuple[int, ...]
    data_offset: int
    nbytes: int
    checksum: int


def check_shape(shape: tuple[int, ...], itemsize: int) -> int:
    """Refuse what no array can have; returns the size of the data in bytes."""
    if len(shape) > _MAX_DIMS:
        raise ShapeError(f"expected at most {_MAX_DIMS} dimensions, found {len(shape)}")
    for index, n in enumerate(shape):
        if n < 0:
            raise ShapeError(
                f"expected dimensions of 0 or more, that at index {index} is negative"
            )
    nbytes = math.prod(n or 1 for n in shape) * max(itemsize, 1)
    if nbytes > _MAX_INTP:
        # Not the number itself: Python refuses to print the largest ones.
        raise ShapeError(
            f"expected at most 2**{_MAX_INTP.bit_length()} bytes, as any address "
            f"space has, found about 2**{nbytes.bit_length() - 1}"
        )
    return math.prod(shape) * itemsize


class NewHeader(NamedTuple):
    """The header block of a new file, and what it is meant to say."""

    block: bytes
    header: Header


def encode(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    fortran_order: bool,
    *,
    as_bytes: bool = False,
) -> NewHeader:
    """Describe a new array, whose dtype and shape were checked.

    Parameters
    ----------
    dtype : dtype
        Of the array. The header that is returned has this very dtype, also where
        the block leaves out part of it, such as its metadata.
    shape : tuple of int
        Of the array.
    fortran_order : bool
        Of the array.
    as_bytes : bool, default False
        Let the block say bytes (``|V8``) where it cannot say the dtype: for files
        that others open by handle, which says it.

    Raises
    ------
    DtypeError
        A ``.npy`` header cannot describe the dtype, or it has so many fields that
        the header would be too long.

    Examples
    --------
    >>> block, _ = encode(np.dtype("f4"), (2, 3), False)
    >>> len(block), block[10:69].decode()
    (4096, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
    """
    try:
        block = _compose(describe(dtype), shape, fortran_order)
    except DtypeError:
        if not as_bytes:
            raise
        block = _compose(f"|V{dtype.itemsize}", shape, fortran_order)
    nbytes = math.prod(shape) * dtype.itemsize
    # Its trailer tells a new file from others, so that it needs no checksum.
    return NewHeader(block, Header(dtype, fortran_order, shape, len(block), nbytes, 0))


def _compose(descr: Any, shape: tuple[int, ...], fortran_order: bool) -> bytes:
    # Written exactly as NumPy does, trailing comma included.
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran_order}, "
    text += f"'shape': {shape}, }}"
    try:
        version, body = (1, 0), text.encode("latin-1")
    except UnicodeEncodeError:
        version, body = (3, 0), text.encode("utf-8")
    size = _block_size(len(body))
    if size > _LONGEST_VERSION_1 and version == (1, 0):
        version = (2, 0)
    length_struct = _VERSIONS[version][0]
    prefix = len(_MAGIC) + 2 + struct.calcsize(length_struct)
    length = struct.pack(length_struct, size - prefix)
    return (_MAGIC + bytes(version) + length + body).ljust(size - 1) + b"\n"


def _block_size(text_length: int) -> int:
    """Room for the text, a prefix of up to 12 bytes and the newline."""
    needed = text_length + 13
    for size in (BLOCK, 2 * BLOCK, LONGEST_BLOCK_FOR_NUMPY):
        if needed <= size:
            return size
    if needed > LONGEST_HEADER:
        raise DtypeError(
            f"cannot describe the dtype in a .npy file: its header would be {needed} "
            f"bytes long, the limit is {LONGEST_HEADER}; use fewer fields, or a "
            "subarray such as ('values', 'f8', (1000,)) in place of many"
        )
    return round_up(needed)


def full_length(start: bytes, path: str) -> int:
    """Length of the whole header in bytes, read from the start of the file.

    Raises FormatError if this is no ``.npy`` file, or the header is too long.
    """
    if start[:6] != _MAGIC:
        raise FormatError(
            f"{path!r} is not an array file: expected it to begin with {_MAGIC!r}, "
            f"found {start[:6]!r}; only .npy files can be opened",
            path,
        )
    version = tuple(start[6:8])
    if version not in _VERSIONS:
        raise FormatError(
            f"{path!r} has .npy version {version}, expected one of "
            f"{sorted(_VERSIONS)}; write it again with numpy.save",
            path,
        )
    length_struct = _VERSIONS[version][0]
    prefix = 8 + struct.calcsize(length_struct)
    if len(start) < prefix:
        raise FormatError(
            f"{path!r} ends within its header: it was truncated, restore it from a "
            "copy",
            path,
        )
    (length,) = struct.unpack(length_struct, start[8:prefix])
    if prefix + length > LONGEST_HEADER:
        raise FormatError(
            f"{path!r} has a header of {prefix + length} bytes, the limit is "
            f"{LONGEST_HEADER}; write it with fewer or shorter field names",
            path,
        )
    return prefix + int(length)


# The start of a header block to the block, what it says, and the descr. A program
# opens many files with equal headers, and parsing one takes 40 us. Hashing a whole
# block would take 1 us, comparing it takes 0.1.
_known: dict[bytes, tuple[bytes, Header, Any]] = {}
_KEY_SIZE = 128
_MOST_KNOWN = 256


def recall(start: bytes) -> Header | None:
    """The header that a file begins with, if `decode` has seen the very same."""
    found = _known.get(start[:_KEY_SIZE])
    if found is None or not start.startswith(found[0]):
        return None
    _, header, descr = found
    if header.dtype.names is None:
        return header
    # Whoever has an array may rename its dtype's fields, in place: each gets its own.
    return header._replace(dtype=read_descr(descr))


def decode(block: bytes, path: str) -> Header:
    """Check a whole header, of the length that `full_length` says.

    Raises
    ------
    FormatError
        It is not one that `numpy.load` reads without pickle.
    """
    try:
        header, descr = _decode(block)
    except DtypeError as error:
        raise FormatError(
            f"{path!r} has a bad header for a shared array: {error}; if you trust the "
            "file, read it with numpy.load(path, allow_pickle=True)",
            path,
        ) from None
    except ValueError as error:
        raise FormatError(
            f"{path!r} has a bad header: {error}; if numpy.load reads it, write it "
            "again with numpy.save, else restore it from a copy",
            path,
        ) from None
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    if _KEY_SIZE <= len(block) <= BLOCK:
        _known[block[:_KEY_SIZE]] = block, header, descr
    return header


def _decode(block: bytes) -> tuple[Header, Any]:
    version = tuple(block[6:8])
    length_struct, encoding = _VERSIONS[version]
    body = block[8 + struct.calcsize(length_struct) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"expected {encoding} text, {error.reason}") from None
    literal = read_literal(text, of_python_2=version <= (2, 0))
    if not isinstance(literal, dict) or set(literal) != _KEYS:
        raise ValueError(f"expected a dict of {sorted(_KEYS)}, found {text[:80]!r}")
    fortran_order, shape = literal["fortran_order"], literal["shape"]
    if not isinstance(fortran_order, bool):
        raise ValueError("expected True or False as fortran_order")
    # Not what was found, which Python may refuse to print.
    if not (isinstance(shape, tuple) and all(type(n) is int for n in shape)):
        raise ValueError("expected a tuple of integers as shape")
    dtype = read_descr(literal["descr"])
    if dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        if math.prod(inner) != 1 and 0 not in shape:
            raise ValueError("expected a subarray as part of the shape")
    nbytes = check_shape(shape, dtype.itemsize)
    checksum = zlib.crc32(block)
    header = Header(dtype, fortran_order, shape, len(block), nbytes, checksum)
    return header, literal["descr"]
