"""A reader of .npy files as strict as the strictest in other languages.

Written from the specification (NEP 1) and from what such readers demand: version 1.0,
a header of 128 bytes whose text has the three keys in the order in which NumPy writes
them, a plain dtype, and a file that ends with its data.
"""

from __future__ import annotations

import math
import re
import struct

_TEXT = re.compile(
    r"\{'descr': '([<|])([biuf])(\d)', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d+, )*(?:\d+,?)?)\), \} *\n"
)
_CODES = {"b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I",
          "i8": "q", "u8": "Q", "f2": "e", "f4": "f", "f8": "d"}  # fmt: skip


def read(content: bytes) -> tuple[tuple[int, ...], str, list[float]]:
    """Return shape, order, and the elements in the order of the file.

    Raises
    ------
    ValueError
        The file is anything else than header and data.
    """
    if content[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("expected the magic and version 1.0")
    (length,) = struct.unpack_from("<H", content, 8)
    if 10 + length != 128:
        raise ValueError(f"expected a header of 128 bytes, got {10 + length}")
    match = _TEXT.fullmatch(content[10:128].decode("ascii"))
    if match is None:
        raise ValueError(f"expected the text of NumPy, got {content[10:128]!r}")
    _, kind, size, fortran_order, numbers = match.groups()
    shape = tuple(int(number) for number in numbers.split(",") if number.strip())
    count = math.prod(shape)
    expected = 128 + count * int(size)
    if len(content) != expected:
        raise ValueError(f"expected {expected} bytes, got {len(content)}")
    values = struct.unpack_from(f"<{count}{_CODES[kind + size]}", content, 128)
    return shape, "F" if fortran_order == "True" else "C", list(values)
