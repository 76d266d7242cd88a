"""Damaged array files for fuzz_child.py."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import sharray as sh

PAGE = 4096
DTYPES: list[Any] = [
    "<f8",
    ">i2",
    "|u1",
    "<c16",
    "<M8[us]",
    "<U3",
    "|S5",
    [("a", "<f4"), ("b", "|u1", (3,)), (("title", "c"), ">i8")],
]
NUMBERS = [
    *(0, 1, -1, 2, 3, 7, 8, 64, 65, 255, 4095, 4096, 4097, 10_000, 65_536),
    *(2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**59, 2**61, 2**62, 2**63 - 1),
    *(2**63, 2**64 - 1, 2**64, 2**64 + 8, 10**30, -(2**31), -(2**63), 16**6000),
]
TOKENS = [
    *("False", "True", "None", "()", "[]", "{}", "(", ")", "[", "]", "{", "}"),
    *(",", ":", "'", "-", "+", "*", "#", "\\", "\n", "\0", " ", "e9", "j", "0x"),
    *("'descr'", "'shape'", "'fortran_order'", "'<f8'", "'|O'", "'<U7'", "'S0'"),
    *("'<M8[s/2]'", "'m8[0ns]'", "'|V9'", "b''", "f''", "1e999", "(1,)", "(0,)"),
    *("('<f8', (2,))", "[('a', '<f8'), ('b', '|u1')]", "[('', '|V3')]"),
]
WORDS = re.compile(rb"\d+|'[^']*'|[A-Za-z_]+|[^\s]")


class Content(bytes):
    """The content of a file, with a readable repr."""

    def __repr__(self) -> str:
        return f"{len(self)} bytes, {self[:256]!r} ... {self[-PAGE:][:64]!r}"


def valid_files(name: str) -> list[bytes]:
    """Return files of sharray with this name, of several dtypes and orders."""
    found = []
    for dtype in DTYPES:
        for order in ("C", "F"):
            made = sh.create(name, (3, 2), dtype, order=order, overwrite=True)
            found.append(Path(str(made.filename)).read_bytes())
    return found


def header_end(content: bytes) -> int:
    """Return where the data of a valid file begins."""
    return 10 + int(struct.unpack("<H", content[8:10])[0])


def with_text(content: bytes, text: bytes) -> bytes:
    """Return the file with another header text, whose length fits."""
    end = header_end(content)
    body = text.rstrip().ljust(end - 11) + b"\n"
    return content[:8] + struct.pack("<H", len(body) & 0xFFFF) + body + content[end:]


@st.composite
def damaged_files(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """Draw a valid file with one to three kinds of damage."""
    content = draw(st.sampled_from(files))
    for _ in range(draw(st.integers(1, 3))):
        content = draw(st.sampled_from(DAMAGES))(draw, content)
    return Content(content)


def flip_a_bit_of_the_header(draw: st.DrawFn, content: bytes) -> bytes:
    return _with_flipped_bit(content, draw(st.integers(0, 127)), draw)


def flip_a_bit_anywhere(draw: st.DrawFn, content: bytes) -> bytes:
    return _with_flipped_bit(content, draw(st.integers(0, 1 << 14)), draw)


def flip_a_bit_of_the_trailer(draw: st.DrawFn, content: bytes) -> bytes:
    at = len(content) - PAGE + draw(st.integers(0, 320))
    return _with_flipped_bit(content, max(at, 0), draw)


def _with_flipped_bit(content: bytes, at: int, draw: st.DrawFn) -> bytes:
    changed = bytearray(content or b"\0")
    changed[at % len(changed)] ^= 1 << draw(st.integers(0, 7))
    return bytes(changed)


def insert_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, 140))
    return content[:at] + draw(st.binary(min_size=1, max_size=8)) + content[at:]


def replace_a_word(draw: st.DrawFn, content: bytes) -> bytes:
    """Replace a word of the header: a number, a string, a name or a bracket."""
    if len(content) < 128:
        return content
    text = content[10 : header_end(content)]
    words = list(WORDS.finditer(text))
    if not words:
        return content
    word = words[draw(st.integers(0, 60)) % len(words)]
    if word[0].isdigit():
        number = draw(st.sampled_from(NUMBERS))
        new = b"%#x" % number if abs(number) > 10**30 else b"%d" % number
    elif draw(st.booleans()):
        new = draw(st.sampled_from(TOKENS)).encode()
    else:  # another word of the same text
        new = words[draw(st.integers(0, 60)) % len(words)][0]
    return with_text(content, text[: word.start()] + new + text[word.end() :])


def truncate(draw: st.DrawFn, content: bytes) -> bytes:
    return content[: draw(st.sampled_from([*NUMBERS[:15], *range(60, 5000, 37)]))]


def extend(draw: st.DrawFn, content: bytes) -> bytes:
    return content + draw(st.sampled_from([b"\0", bytes(PAGE), b"\xff" * 100]))


def set_a_number_of_the_trailer(draw: st.DrawFn, content: bytes) -> bytes:
    """Replace a number of the trailer, and correct the checksum."""
    page = bytearray(content[-PAGE:].rjust(PAGE, b"\0"))
    at = draw(st.sampled_from([8, 16, 32, 40, 48, 64, 128, 192, 256, 264]))
    struct.pack_into("<Q", page, at, draw(st.sampled_from(NUMBERS)) % 2**64)
    struct.pack_into("<I", page, 56, zlib.crc32(page[:56]))
    return content[:-PAGE] + bytes(page)


DAMAGES = [
    flip_a_bit_of_the_header,
    flip_a_bit_anywhere,
    flip_a_bit_of_the_trailer,
    insert_bytes,
    replace_a_word,
    replace_a_word,
    replace_a_word,
    truncate,
    extend,
    set_a_number_of_the_trailer,
]
