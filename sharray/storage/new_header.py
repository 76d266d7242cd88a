"""New headers: from dtype, order and shape to the bytes that begin a file."""

from __future__ import annotations

import functools
import math
import struct
from typing import Any, NamedTuple

import numpy as np

from ..errors import DtypeError
from . import rows_field
from .dtypes import describe
from .format import (
    BLOCK,
    DATA_ALIGNMENT,
    LONGEST_BLOCK_FOR_NUMPY,
    LONGEST_HEADER,
    round_up,
)
from .header import MAGIC, VERSIONS, Header, checked

_LONGEST_VERSION_1 = 65_535
_FEW_DIMENSIONS = 4  # of most arrays
_MOST_DIGITS = 21  # numpy.lib.format.GROWTH_AXIS_MAX_DIGITS
# NumPy's own objects: a dtype that is equal may have metadata, or another letter.
_PLAIN: dict[int, np.dtype[Any]] = {
    np.dtype(letter).num: np.dtype(letter) for letter in "?bBhHiIlLqQefdgFDG"
}


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
    if _PLAIN.get(dtype.num) is dtype and len(shape) <= _FEW_DIMENSIONS:
        return _encode_plain(dtype.num, shape, fortran_order, pages, growable)
    return _encode(dtype, shape, fortran_order, pages, growable, as_bytes)


# Programs make many arrays of few kinds, and composing a header takes 5 us. Long shapes
# are left out: NumPy's own tests look that an array keeps no reference to its lengths.
@functools.lru_cache(maxsize=128)
def _encode_plain(
    number: int,
    shape: tuple[int, ...],
    fortran_order: bool,
    pages: bool,
    growable: bool,
) -> NewHeader:
    return _encode(_PLAIN[number], shape, fortran_order, pages, growable, False)


def _encode(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    fortran_order: bool,
    pages: bool,
    growable: bool,
    as_bytes: bool,
) -> NewHeader:
    # As NumPy: an array whose elements are in C order as well is not in Fortran order.
    if growable:
        fortran_order = fortran_order and len(shape) > 1
        compose = _compose_growable
    else:
        fortran_order = fortran_order and not is_in_c_order_too(shape)
        compose = _compose_pages if pages else _compose
    try:
        block = compose(describe(dtype), shape, fortran_order)
    except DtypeError:
        if not as_bytes:
            raise
        block = compose(f"|V{dtype.itemsize}", shape, fortran_order)
    nbytes = math.prod(shape) * dtype.itemsize
    found = checked(block)
    return NewHeader(
        block, Header(dtype, fortran_order, shape, len(block), nbytes, *found)
    )


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
    length = struct.pack(VERSIONS[version][0], len(text) - start)
    return text[:8] + length + text[start:]


def _padded(version: tuple[int, int], text_length: int) -> int:
    """Return the size of a block that ends at a multiple of 64, and a space or more."""
    needed = _prefix_size(version) + text_length + 1
    return (needed // DATA_ALIGNMENT + 1) * DATA_ALIGNMENT


def is_in_c_order_too(shape: tuple[int, ...]) -> bool:
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
    return len(MAGIC) + 2 + struct.calcsize(VERSIONS[version][0])


def _block(version: tuple[int, int], body: bytes, size: int) -> bytes:
    length = struct.pack(VERSIONS[version][0], size - _prefix_size(version))
    return (MAGIC + bytes(version) + length + body).ljust(size - 1) + b"\n"


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
