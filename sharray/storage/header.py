"""The header block: bytes to dtype, order and shape, and back.

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
from . import rows_field
from .dtypes import describe, read_descr
from .format import (
    BLOCK,
    DATA_ALIGNMENT,
    LONGEST_BLOCK_FOR_NUMPY,
    LONGEST_HEADER,
    round_up,
)
from .literal import read_literal

_MAGIC = b"\x93NUMPY"
# By version: struct format of the length, and encoding of the text (NEP 1).
_VERSIONS: dict[tuple[int, ...], tuple[str, str]] = {
    (1, 0): ("<H", "latin-1"),
    (2, 0): ("<I", "latin-1"),
    (3, 0): ("<I", "utf-8"),
}
_KEYS = {"descr", "fortran_order", "shape"}
_LONGEST_VERSION_1 = 65_535
_MOST_DIGITS = 21  # numpy.lib.format.GROWTH_AXIS_MAX_DIGITS
_MAX_DIMS = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32
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


class NewHeader(NamedTuple):
    """The header block of a new file, and the contents that it stands for."""

    block: bytes
    header: Header


def encode(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    fortran_order: bool,
    *,
    pages: bool = False,
    as_bytes: bool = False,
    growable: bool = False,
) -> NewHeader:
    """Make the header of a new array from a checked dtype and shape.

    Parameters
    ----------
    dtype : dtype
        Dtype of the array. The returned header has exactly this dtype, even if the
        block leaves out part of it, such as metadata.
    shape : tuple of int
        Shape of the array.
    fortran_order : bool
        True if the array is column-major.
    pages : bool, default False
        Fill whole pages, for files in RAM. Otherwise the block is the one that
        `numpy.save` writes.
    growable : bool, default False
        Write the length of the axis that grows into a field: see `rows_field`.
    as_bytes : bool, default False
        If the block cannot describe the dtype, let it describe bytes (``|V8``). This is
        for files that others open by handle, since a handle has the dtype.

    Raises
    ------
    DtypeError
        A ``.npy`` header cannot describe the dtype, or would be too long because of
        its many fields.

    Examples
    --------
    >>> block, _ = encode(np.dtype("f4"), (2, 3), False)
    >>> len(block), block[10:69].decode()
    (128, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
    """
    # As NumPy: an array whose elements are in C order as well is not in Fortran order.
    if growable:
        fortran_order = fortran_order and len(shape) > 1
        compose = _compose_growable
    else:
        fortran_order = fortran_order and not _is_in_c_order_too(shape)
        compose = _compose_pages if pages else _compose
    try:
        block = compose(describe(dtype), shape, fortran_order)
    except DtypeError:
        if not as_bytes:
            raise
        block = compose(f"|V{dtype.itemsize}", shape, fortran_order)
    nbytes = math.prod(shape) * dtype.itemsize
    checked = _checked(block)
    return NewHeader(
        block, Header(dtype, fortran_order, shape, len(block), nbytes, *checked)
    )


def _checked(block: bytes) -> tuple[int, int | None]:
    """Return the checksum of a header without its number of rows, and where that is."""
    position = rows_field.find(block)
    if position is not None:
        block = rows_field.replaced(block, position, 0)
    return zlib.crc32(block), position


def _compose(descr: Any, shape: tuple[int, ...], fortran_order: bool) -> bytes:
    """Return the bytes that `numpy.save` writes: NEP 1, and numpy/lib/_format_impl.py.

    NumPy leaves room for more digits of the axis along which an array may grow.
    """
    text = _text(descr, shape, fortran_order)
    if shape:
        digits = len(str(shape[-1 if fortran_order else 0]))
        text += " " * (_MOST_DIGITS - digits)
    version, body = _version_for(text)
    size = _padded(version, len(body))
    if version == (1, 0) and size - _prefix_size(version) > _LONGEST_VERSION_1:
        version = (2, 0)
        size = _padded(version, len(body))
    _check_length(size)
    return _block(version, body, size)


def _compose_growable(descr: Any, shape: tuple[int, ...], fortran_order: bool) -> bytes:
    """Return a header whose growing axis has a field, right-justified with spaces."""
    before, rows, after = rows_field.split(shape, fortran_order)
    head = f"{{'descr': {descr!r}, 'fortran_order': {fortran_order}, 'shape': ("
    head += "".join(f"{n}, " for n in before)
    tail = "".join(f", {n}" for n in after) or ("" if before else ",")
    version, encoded = _version_for(head)
    head += " " * (-(_prefix_size(version) + len(encoded)) % rows_field.SIZE)
    version, body = _version_for(f"{head}{rows_field.text(rows)}{tail}), }}")
    size = round_up(_prefix_size(version) + len(body) + 1, DATA_ALIGNMENT)
    _check_length(size)
    return _block(version, body, size)


def made_growable(header: Header) -> bytes | None:
    """Return a header of the same length that can grow; None if it has no room."""
    descr = describe(header.dtype)
    block = _compose_growable(descr, header.shape, header.fortran_order)
    spare = header.data_offset - len(block)
    if spare < 0:
        return None
    text = block[:-1] + b" " * spare + b"\n"
    version: tuple[int, int] = (block[6], block[7])
    start = _prefix_size(version)
    length = struct.pack(_VERSIONS[version][0], len(text) - start)
    return text[:8] + length + text[start:]


def _padded(version: tuple[int, int], text_length: int) -> int:
    """Return the size of a block that ends at a multiple of 64, and a space or more."""
    needed = _prefix_size(version) + text_length + 1
    return (needed // DATA_ALIGNMENT + 1) * DATA_ALIGNMENT


def _is_in_c_order_too(shape: tuple[int, ...]) -> bool:
    """Tell whether an array in Fortran order has its elements in C order as well."""
    return 0 in shape or sum(n != 1 for n in shape) < 2


def _compose_pages(descr: Any, shape: tuple[int, ...], fortran_order: bool) -> bytes:
    version, body = _version_for(_text(descr, shape, fortran_order))
    size = _whole_pages(len(body))
    if size > _LONGEST_VERSION_1 and version == (1, 0):
        version = (2, 0)
    return _block(version, body, size)


def _text(descr: Any, shape: tuple[int, ...], fortran_order: bool) -> str:
    # Written exactly as NumPy does, trailing comma included.
    return (
        f"{{'descr': {descr!r}, 'fortran_order': {fortran_order}, 'shape': {shape}, }}"
    )


def _version_for(text: str) -> tuple[tuple[int, int], bytes]:
    try:
        return (1, 0), text.encode("latin-1")
    except UnicodeEncodeError:
        return (3, 0), text.encode("utf-8")


def _prefix_size(version: tuple[int, int]) -> int:
    return len(_MAGIC) + 2 + struct.calcsize(_VERSIONS[version][0])


def _block(version: tuple[int, int], body: bytes, size: int) -> bytes:
    length = struct.pack(_VERSIONS[version][0], size - _prefix_size(version))
    return (_MAGIC + bytes(version) + length + body).ljust(size - 1) + b"\n"


def _whole_pages(text_length: int) -> int:
    """Return the block size for a text, a prefix of up to 12 bytes and the newline."""
    needed = text_length + 13
    for size in (BLOCK, 2 * BLOCK, LONGEST_BLOCK_FOR_NUMPY):
        if needed <= size:
            return size
    _check_length(needed)
    return round_up(needed)


def _check_length(size: int) -> None:
    if size > LONGEST_HEADER:
        raise DtypeError(
            f"cannot describe the dtype in a .npy file: its header would be {size} "
            f"bytes long, but the limit is {LONGEST_HEADER}; use fewer fields, or one "
            "subarray such as ('values', 'f8', (1000,)) instead of many fields"
        )


def full_length(start: bytes, path: str) -> int:
    """Return the length of a header in bytes, given the first bytes of the file.

    Raises
    ------
    FormatError
        The file is not a ``.npy`` file, or its header is too long.
    """
    if start[:6] != _MAGIC:
        raise FormatError(
            f"{path!r} is not an array file: expected it to begin with {_MAGIC!r}, "
            f"got {start[:6]!r}; only .npy files can be opened",
            path,
        )
    version = tuple(start[6:8])
    if version not in _VERSIONS:
        raise FormatError(
            f"{path!r} has an unknown .npy version: expected one of "
            f"{sorted(_VERSIONS)}, got {version}; write it again with numpy.save",
            path,
        )
    length_struct = _VERSIONS[version][0]
    prefix = 8 + struct.calcsize(length_struct)
    if len(start) < prefix:
        raise FormatError(
            f"{path!r} ends within its header; the file was truncated: restore it from "
            "a backup",
            path,
        )
    (length,) = struct.unpack(length_struct, start[8:prefix])
    if prefix + length > LONGEST_HEADER:
        raise FormatError(
            f"{path!r} has too long a header: expected at most {LONGEST_HEADER} bytes, "
            f"got {prefix + length}; write it with fewer or shorter field names",
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
            f"{path!r} has a bad header for a shared array: {error}; if you trust the "
            "file, read it with numpy.load(path, allow_pickle=True)",
            path,
        ) from None
    except ValueError as error:
        raise FormatError(
            f"{path!r} has a bad header: {error}; if numpy.load reads it, write it "
            "again with numpy.save, else restore it from a backup",
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
    header = Header(dtype, fortran_order, shape, len(block), nbytes, *_checked(block))
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
    _, encoding = _VERSIONS[tuple(block[6:8])]
    try:
        literal = read_literal(
            changed[len(block) - len(text.encode(encoding)) :].decode(encoding),
            of_python_2=tuple(block[6:8]) <= (2, 0),
        )
    except ValueError:
        return False
    expected = header.with_rows(rows).shape
    return isinstance(literal, dict) and literal["shape"] == expected
