"""Undefined symbols of an object file, which it needs to be linked.

LLVM looks symbols up when it links, and ends the process if one is missing. So this
module reads their names before, from ELF files for 64 bits: see chapter 4 of the
System V ABI, and elf(5).
"""

from __future__ import annotations

import struct
import sys

from ..errors import FormatError

_MAGIC = b"\x7fELF\x02"  # 64 bits
_HEADER_SECTIONS = struct.Struct("=40xQ10xHH")  # e_shoff, e_shentsize, e_shnum
_SECTION = struct.Struct("=4xI16xQQI12xQ")  # type, offset, size, link, entsize
_SYMBOL = struct.Struct("=IBBHQQ")
_SYMBOL_TABLE = 2  # SHT_SYMTAB
_UNDEFINED = 0  # SHN_UNDEF


def is_supported(object_code: bytes) -> bool:
    """Return whether an object file has the format that this module reads."""
    order = b"\x01" if sys.byteorder == "little" else b"\x02"
    return object_code.startswith(_MAGIC + order)


def undefined_symbols(object_code: bytes) -> list[str]:
    """Return the names that an object file uses and does not define.

    Raises
    ------
    FormatError
        It is not an ELF file for 64 bits, or it is damaged.
    """
    if not is_supported(object_code):
        raise FormatError("expected an ELF object file for 64 bits")
    try:
        return _undefined_symbols(object_code)
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise FormatError(f"damaged ELF object file: {error}") from error


def _undefined_symbols(object_code: bytes) -> list[str]:
    start, size, count = _HEADER_SECTIONS.unpack_from(object_code)
    sections = [
        _SECTION.unpack_from(object_code, start + number * size)
        for number in range(count)
    ]
    names = []
    for kind, offset, length, link, entry in sections:
        if kind != _SYMBOL_TABLE:
            continue
        strings = sections[link][1]  # sh_link of a symbol table: its strings
        for position in range(offset, offset + length, entry):
            name, _, _, section, _, _ = _SYMBOL.unpack_from(object_code, position)
            # The first symbol of each table is undefined, and has no name.
            if section == _UNDEFINED and name:
                end = object_code.index(b"\0", strings + name)
                names.append(object_code[strings + name : end].decode())
    return names
