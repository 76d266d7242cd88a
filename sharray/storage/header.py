"""The header block: bytes to dtype, order and shape, and back.

Headers come from files that anybody may have written. Nothing is evaluated but
a short literal whose nesting was checked, every descr must be of a kind listed
here, and sizes are Python integers, which do not wrap.
"""

from __future__ import annotations

import ast
import functools
import math
import re
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from ..errors import DtypeError, FormatError, ShapeError
from .format import BLOCK, LONGEST_FOREIGN_HEADER, LONGEST_HEADER_BLOCK

_MAGIC = b"\x93NUMPY"
# Version to the struct of the length, and the encoding of the text: NEP 1.
_VERSIONS: dict[tuple[int, ...], tuple[str, str]] = {
    (1, 0): ("<H", "latin-1"),
    (2, 0): ("<I", "latin-1"),
    (3, 0): ("<I", "utf-8"),
}
_KEYS = {"descr", "fortran_order", "shape"}
_SCALAR = re.compile(
    r"[<>|=]?(\?|b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)|[aSUV][0-9]{1,10}"
    # Not a unit's divisor ("s/0" ends the process), which NumPy reads, not writes.
    r"|[mM]8(\[([0-9]{1,10})?(generic|as|fs|ps|ns|us|μs|ms|[smhDWMY])\])?)"
)
_DEEPEST_NESTING = 32
_MAX_DIMS = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32
_MAX_INTP = int(np.iinfo(np.intp).max)


class Header(NamedTuple):
    """What a header says, checked."""

    dtype: np.dtype[Any]
    fortran_order: bool
    shape: tuple[int, ...]
    data_offset: int
    nbytes: int
    checksum: int


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Refuse a dtype whose elements are not plain bytes of known meaning."""
    if dtype.hasobject or dtype.kind in "OT":
        raise DtypeError(
            f"cannot share dtype {dtype}: its elements are pointers into one "
            "process; use a fixed-size dtype such as 'f8', 'U10' or 'S10'"
        )
    if dtype.itemsize == 0:
        raise DtypeError(
            f"cannot share dtype {dtype}: its elements have no bytes; "
            "give a length, as in 'S10'"
        )


def check_shape(shape: tuple[int, ...], itemsize: int) -> int:
    """Refuse what no array can have; returns the size of the data in bytes."""
    if len(shape) > _MAX_DIMS:
        raise ShapeError(f"expected at most {_MAX_DIMS} dimensions, found {len(shape)}")
    for index, n in enumerate(shape):
        if n < 0:
            raise ShapeError(
                f"expected dimensions of 0 or more, that at index {index} is negative"
            )
    nbytes = math.prod(n or 1 for n in shape) * itemsize
    if nbytes > _MAX_INTP:
        # Not the number itself: Python refuses to print the largest ones.
        raise ShapeError(
            f"expected at most 2**{_MAX_INTP.bit_length()} bytes, as any address "
            f"space has, found about 2**{nbytes.bit_length() - 1}"
        )
    return math.prod(shape) * itemsize


def encode(dtype: np.dtype[Any], shape: tuple[int, ...], fortran_order: bool) -> bytes:
    """The header block of a new file.

    Raises
    ------
    DtypeError
        The dtype cannot be shared, a ``.npy`` header cannot describe it, or it
        has so many fields that the header would be too long.

    Examples
    --------
    >>> block = encode(np.dtype("f4"), (2, 3), False)
    >>> len(block), block[10:69].decode()
    (4096, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
    """
    check_dtype(dtype)
    descr = _describe(dtype)
    # Written exactly as NumPy does, trailing comma included.
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran_order}, "
    text += f"'shape': {shape}, }}"
    try:
        version, body = (1, 0), text.encode("latin-1")
    except UnicodeEncodeError:
        version, body = (3, 0), text.encode("utf-8")
    length_struct = _VERSIONS[version][0]
    prefix = len(_MAGIC) + 2 + struct.calcsize(length_struct)
    size = BLOCK if prefix + len(body) < BLOCK else LONGEST_HEADER_BLOCK
    if prefix + len(body) >= size:
        raise DtypeError(
            f"cannot share a dtype of {len(dtype.fields or ())} fields: its header "
            f"would be {prefix + len(body) + 1} bytes long, the limit is {size}"
        )
    length = struct.pack(length_struct, size - prefix)
    return (_MAGIC + bytes(version) + length + body).ljust(size - 1) + b"\n"


def _describe(dtype: np.dtype[Any]) -> Any:
    try:
        descr = npy_format.dtype_to_descr(dtype)
        same = npy_format.descr_to_dtype(descr) == dtype
    except (TypeError, ValueError) as error:
        raise DtypeError(
            f"cannot share dtype {dtype}: a .npy header cannot describe it ({error})"
        ) from error
    if not same:
        raise DtypeError(f"cannot share dtype {dtype}: a .npy header loses part of it")
    return descr


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
    if prefix + length > LONGEST_FOREIGN_HEADER:
        raise FormatError(
            f"{path!r} has a header of {prefix + length} bytes, the limit is "
            f"{LONGEST_FOREIGN_HEADER} (as in numpy.load); write it with fewer "
            "or shorter field names",
            path,
        )
    return prefix + int(length)


# The start of a header block to the block and what it says. A program opens many
# files with equal headers, and parsing one takes 40 us. Hashing a whole block would
# take 1 us, comparing it takes 0.1.
_known: dict[bytes, tuple[bytes, Header]] = {}
_KEY_SIZE = 128
_MOST_KNOWN = 256


def recall(start: bytes) -> Header | None:
    """The header that a file begins with, if `decode` has seen the very same."""
    found = _known.get(start[:_KEY_SIZE])
    return found[1] if found is not None and start.startswith(found[0]) else None


def decode(block: bytes, path: str) -> Header:
    """Check a whole header, of the length that `full_length` says.

    Raises
    ------
    FormatError
        It is not one that NumPy could have written for data of plain bytes.
    """
    try:
        header = _decode(block)
    except (_HeaderError, DtypeError, ShapeError) as error:
        raise FormatError(
            f"{path!r} has a bad header: {error}; it is damaged, or holds more than "
            "plain data: restore it from a copy, or write it again with numpy.save",
            path,
        ) from None
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    if len(block) >= _KEY_SIZE:
        _known[block[:_KEY_SIZE]] = block, header
    return header


class _HeaderError(ValueError):
    """What is wrong, before the path is known."""


def _decode(block: bytes) -> Header:
    length_struct, encoding = _VERSIONS[tuple(block[6:8])]
    body = block[8 + struct.calcsize(length_struct) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise _HeaderError(f"expected {encoding} text, {error.reason}") from None
    literal = _literal(text)
    if not isinstance(literal, dict) or set(literal) != _KEYS:
        raise _HeaderError(f"expected a dict of {sorted(_KEYS)}, found {text:.80}")
    fortran_order, shape = literal["fortran_order"], literal["shape"]
    if not isinstance(fortran_order, bool):
        raise _HeaderError("expected True or False as fortran_order")
    if not (isinstance(shape, tuple) and all(type(n) is int for n in shape)):
        raise _HeaderError(
            f"expected a tuple of integers as shape, found {shape!r:.80}"
        )
    dtype = _dtype(literal["descr"])
    if dtype.subdtype is not None:
        raise _HeaderError(f"expected the subarray of {dtype} as part of the shape")
    check_dtype(dtype)
    nbytes = check_shape(shape, dtype.itemsize)
    checksum = zlib.crc32(block)
    return Header(dtype, fortran_order, shape, len(block), nbytes, checksum)


def _literal(text: str) -> Any:
    """A Python literal; the text is bounded, and so is the nesting here."""
    text = text.rstrip()
    if not text.isprintable():
        raise _HeaderError("it has characters that are not printable")
    _check_nesting(text)
    try:
        return _evaluate(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise _HeaderError(f"it is not a Python literal ({error})") from None


def _evaluate(text: str) -> Any:
    while True:
        try:
            return ast.literal_eval(text)
        except SystemError:
            # Up to Python 3.12, if another thread parses at the same time: the parser
            # counts how deep it is for all threads together (gh-106905).
            continue


def _check_nesting(text: str) -> None:
    if sum(map(text.count, "([{")) <= _DEEPEST_NESTING:
        return  # as nearly always
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > _DEEPEST_NESTING:
        raise _HeaderError(
            f"brackets nest {deepest} deep, expected at most {_DEEPEST_NESTING}"
        )


def _dtype(descr: Any) -> np.dtype[Any]:
    try:
        _check_descr(descr)
        return npy_format.descr_to_dtype(descr)
    except _HeaderError:
        raise
    except Exception as error:
        # NumPy raises what it happens to meet, SystemError and OverflowError
        # included; a header must not get past this line as anything else. Nor may
        # the message: Python refuses to print numbers of many digits.
        raise _HeaderError(f"NumPy has no such dtype ({error})") from None


@functools.lru_cache(maxsize=256)
def scalar_dtype(text: str) -> np.dtype[Any]:
    """The dtype that a string names, ValueError if it is none of plain bytes.

    `numpy.dtype` understands more, and is not meant for strings from strangers.

    Examples
    --------
    >>> scalar_dtype("<M8[ns]")
    dtype('<M8[ns]')
    """
    return _dtype(text)


def _check_descr(descr: Any) -> None:
    """Allow only what `numpy.lib.format.dtype_to_descr` writes."""
    if isinstance(descr, str):
        if not _SCALAR.fullmatch(descr):
            raise _HeaderError(
                f"descr {descr!r:.80} is not a dtype of plain bytes "
                "(object arrays cannot be shared)"
            )
    elif isinstance(descr, tuple):
        if len(descr) != 2:
            raise _HeaderError(f"expected (dtype, shape), found {descr!r:.80}")
        _check_descr(descr[0])
        _check_subarray_shape(descr[1])
    elif isinstance(descr, list):
        for field in descr:
            _check_field(field)
    else:
        raise _HeaderError(f"descr must be a string or a list, found {descr!r:.80}")


def _check_field(field: Any) -> None:
    if not (isinstance(field, tuple) and len(field) in (2, 3)):
        raise _HeaderError(f"expected (name, descr[, shape]), found {field!r:.80}")
    name = field[0]
    title_and_name = name if isinstance(name, tuple) else ("title", name)
    if len(title_and_name) != 2 or not all(isinstance(n, str) for n in title_and_name):
        raise _HeaderError(f"expected a field name, found {name!r:.80}")
    _check_descr(field[1])
    if len(field) == 3:
        _check_subarray_shape(field[2])


def _check_subarray_shape(shape: Any) -> None:
    if not (
        isinstance(shape, tuple)
        and len(shape) <= _MAX_DIMS
        and all(type(n) is int and n >= 0 for n in shape)
        and math.prod(shape) <= _MAX_INTP
    ):
        raise _HeaderError(f"expected the shape of a subarray, found {shape!r:.80}")
