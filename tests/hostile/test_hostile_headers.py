"""Invalid headers, each in its own test."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import header_text, npy, refused
from workers import start_python

import sharray as sh

pytestmark = pytest.mark.slow


# Decimal literals of this size Python refuses itself; hexadecimal ones it reads,
# and then cannot print.
GIANT = "0x" + "f" * 6000

STARTS = {
    "empty file": b"",
    "one byte": b"\x93",
    "magic only": b"\x93NUMPY",
    "no length": b"\x93NUMPY\x01\x00",
    "half a length": b"\x93NUMPY\x01\x00v",
    "zeros": bytes(4096),
    "zip file": b"PK\x03\x04" + bytes(100),
    "bad magic": b"\x93NUMPZ" + npy(header_text())[6:],
    "version 0": b"\x93NUMPY\x00\x00" + npy(header_text())[8:],
    "version 1.1": b"\x93NUMPY\x01\x01" + npy(header_text())[8:],
    "version 4": b"\x93NUMPY\x04\x00" + npy(header_text())[8:],
    "version 255": b"\x93NUMPY\xff\xff" + npy(header_text())[8:],
    "shorter than its header": npy(header_text())[:40],
    "header of 0 bytes": npy(""),
    "header of 10,001 characters": npy(header_text().ljust(10_001)),
    "header of 64 KiB": npy(header_text().ljust(65_535)),
    "header of 4 GiB": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1),
}

TEXTS: dict[str, str | bytes] = {
    "spaces": " " * 100,
    "not text": bytes(range(128, 256)),
    "control character": "{'descr': '<f8', \x07'fortran_order': False, 'shape': ()}",
    "not a literal": header_text(descr="f8"),
    "half a dictionary": header_text()[:30],
    "two dictionaries": header_text().strip() + header_text(),
    "comment": header_text().replace("}", "#}"),
    "list": "['<f8', False, (3,)]",
    "set": "{'descr', 'fortran_order', 'shape'}",
    "number": "7",
    "giant number": GIANT,
    "unhashable key": "{[]: 1}",
    "giant key": f"{{{GIANT}: 1}}",
    "missing key": "{'descr': '<f8', 'shape': (3,)}",
    "extra key": header_text().replace("}", ", 'x': 1}"),
    "bytes as keys": header_text().replace("{'", "{b'"),
    "no keys": "{}",
    "function call": header_text(shape="tuple()"),
    "comprehension": header_text(shape="[n for n in (1,)]"),
    "f-string": header_text(descr="f'{1}'"),
    "power": header_text(shape="(9**9**9,)"),
    "deep brackets": "[" * 4000 + "]" * 4000,
    "33 brackets": header_text(shape="(" * 33 + "3" + ",)" * 33),
    "open brackets": "(" * 9000,
    "many minuses": header_text(shape="-" * 9000 + "1"),
    "many sums": "1" + "+1" * 4000,
    "many attributes": "a" + ".a" * 4000,
    "many lambdas": "lambda:" * 1200 + "1",
    "odd escape": header_text(descr=r"'\d'"),
}

ORDERS = ["0", "1", "'C'", "None", "()", "'False'", "0.0", GIANT]

SHAPES = {
    "number": "3",
    "list": "[3]",
    "string": "'3'",
    "None": "None",
    "bool": "(True,)",
    "float": "(3.0,)",
    "infinite": "(1e999,)",
    "complex": "(1j,)",
    "bytes": "(b'3',)",
    "nested": "((3,),)",
    "negative": "(-1,)",
    "negative twice": "(-1, -3)",
    "65 dimensions": "(" + "1, " * 65 + ")",
    "3000 dimensions": "(" + "1, " * 3000 + ")",
    "2**63": f"({2**63},)",
    "2**63 in bytes": f"({2**60},)",
    "2**64 plus 3": f"({2**64 + 3},)",
    "product wraps to 0": "(4294967296, 4294967296, 4294967296, 4294967296)",
    "product wraps to 1": f"({2**64 - 1}, {2**64 - 1})",
    "nothing of giant rows": f"(0, {2**63})",
    "nothing of giant columns": f"({2**62}, 0, {2**62})",
    "giant": f"({GIANT},)",
    "giant negative": f"(-{GIANT},)",
    "giant decimal": "(" + "9" * 6000 + ",)",
}

DESCRS = {
    "object": "'|O'",
    "object, 8 bytes": "'|O8'",
    "object in a field": "[('a', '|O')]",
    "object in a subarray": "('|O', (2,))",
    "StringDType": "'|T16'",
    "StringDType, bare": "'T'",
    "unknown kind": "'<x8'",
    "unknown size": "'<f3'",
    "long double of elsewhere": "'<f12'",
    "empty": "''",
    "space": "'<f8 '",
    "negative length": "'S-1'",
    "2**31 bytes": "'|V2147483648'",
    "2**32 + 1 bytes": "'|S4294967297'",
    "2**31 bytes of characters": "'<U536870912'",
    "ten digits": "'|S9999999999'",
    "unknown unit": "'<M8[x]'",
    "giant unit": "'<M8[9999999999s]'",
    "divided unit": "'<M8[s/7]'",
    "number": "8",
    "giant number": GIANT,
    "None": "None",
    "bytes": "b'<f8'",
    "dictionary": "{'names': ['a'], 'formats': ['<f8']}",
    "overlapping fields": (
        "{'names': ['a', 'b'], 'formats': ['<f8', '<f8'], 'offsets': [0, 4]}"
    ),
    "same name twice": "[('a', '<f8'), ('a', '<f4')]",
    "title is a name": "[(('b', 'a'), '<f8'), ('b', '<f4')]",
    "number as name": "[(1, '<f8')]",
    "three names": "[(('a', 'b', 'c'), '<f8')]",
    "field of one": "[('a',)]",
    "field of four": "[('a', '<f8', (1,), 0)]",
    "subarray of 2 GiB": "[('a', '<f8', (268435456,))]",
    "subarray wraps": f"[('a', '<f8', ({2**32}, {2**32}))]",
    "subarray negative": "[('a', '<f8', (-1,))]",
    "subarray, bool": "[('a', '<f8', (True,))]",
    "subarray, giant": f"[('a', '<f8', ({GIANT},))]",
    "subarray, 65 dimensions": "[('a', '<f8', (" + "1, " * 65 + "))]",
    "fields of 4 GiB": "[('a', '|V2147483647'), ('b', '|V2147483647')]",
    "tuple of three": "('<f8', (1,), (1,))",
    "nested lists": "[('a', " * 100 + "'<f8'" + ")]" * 100,
}


def _is_refused(content: bytes, says: str = "") -> None:
    Path("x.npy").write_bytes(content)
    for mode in ("r", "r+", "c"):
        refused(sh.FormatError, lambda mode=mode: sh.open("x.npy", mode), says, "x.npy")
    refused(sh.FormatError, lambda: sh.unlink("x.npy"), says, "x.npy")
    assert Path("x.npy").read_bytes() == content, "the file was changed"


@pytest.mark.parametrize("content", STARTS.values(), ids=STARTS)
def test_a_file_that_does_not_begin_as_an_array_is_refused(content: bytes) -> None:
    _is_refused(content)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_header_that_is_no_plain_dictionary_is_refused(text: str | bytes) -> None:
    _is_refused(npy(text), "bad header")


@pytest.mark.parametrize("text", [b"\xff\xfe", b"'\xed\xa0\x80'", b"'\xc3'"])
def test_a_header_that_is_not_utf_8_is_refused(text: bytes) -> None:
    _is_refused(npy(text, version=3), "utf-8")


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order[:9])
def test_an_order_that_is_no_bool_is_refused(order: str) -> None:
    _is_refused(npy(header_text(fortran_order=order)), "bad header")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_shape_that_no_array_has_is_refused(shape: str) -> None:
    _is_refused(npy(header_text(shape=shape)), "bad header")


@pytest.mark.parametrize("descr", DESCRS.values(), ids=DESCRS)
def test_a_dtype_that_is_not_of_plain_bytes_is_refused(descr: str) -> None:
    for shape in ("(3,)", "(0,)"):
        _is_refused(npy(header_text(descr=descr, shape=shape)), "bad header")


def test_a_subarray_may_not_add_elements_to_the_shape() -> None:
    for descr in "('<f8', (2, 1))", "('<f8', (0,))", "'(2,)f4'":
        _is_refused(npy(header_text(descr=descr)), "bad header")


def test_code_in_a_header_does_not_run() -> None:
    code = "__import__('os').system('touch ran')"
    for text in (code, header_text(descr=code), header_text(shape=f"({code},)")):
        _is_refused(npy(text), "bad header")
    assert not Path("ran").exists()


def test_a_pickled_array_of_objects_is_refused() -> None:
    np.save("x.npy", np.array([{"a": 1}, None]), allow_pickle=True)
    refused(sh.FormatError, lambda: sh.open("x.npy"), "object", "x.npy")


@pytest.mark.parametrize("descr", ["<M8[1s/0]", "<m8[s/0]", "<M8[D/0000]"])
def test_a_unit_divided_by_zero_is_refused(descr: str) -> None:
    # NumPy divides by it, and the process dies of SIGFPE.
    Path("x.npy").write_bytes(npy(header_text(descr=repr(descr))))
    ended = start_python(
        "import sharray as sh\n"
        "try: sh.open('x.npy')\n"
        "except sh.FormatError as error: print(error)"
    )
    assert ended.returncode == 0, ended
    assert "bad header" in ended.stdout


FINE: dict[str, tuple[str, Any]] = {
    "title": ("[(('a title', 'a'), '<f8'), ('b', '<i2')]", ("a", "b")),
    "comma": ("'f4,i2'", ("f0", "f1")),
    "name": ("'float64'", None),
    "list as field": ("[['a', '<f8']]", ("a",)),
    "number as shape": ("[('a', '<f8', 2)]", ("a",)),
    "no bytes": ("'S0'", None),
    "no characters": ("'<U0'", None),
    "void of nothing": ("'|V0'", None),
    "no fields": ("[]", ()),
    "nested nothing": ("[('a', [])]", ("a",)),
    "padding": ("[('', '|V4'), ('a', '<f4')]", ("a",)),
    "nested": ("[('a', [('b', '<f4', (2, 2))])]", ("a",)),
    "plain": ("'>i4'", None),
}


@pytest.mark.parametrize(("descr", "names"), FINE.values(), ids=FINE)
def test_odd_but_valid_headers_open(descr: str, names: Any) -> None:
    Path("x.npy").write_bytes(npy(header_text(descr=descr)))
    with Path("x.npy").open("rb") as file:
        expected = np.load(file)
    found = sh.open("x.npy")
    assert found.dtype == expected.dtype
    assert found.dtype.names == names
    assert found.tobytes() == expected.tobytes()


def test_180_brackets_are_not_too_many() -> None:
    descr = "[('a', " * 90 + "'<f8'" + ")]" * 90
    Path("x.npy").write_bytes(npy(header_text(descr=descr)))
    assert sh.open("x.npy").dtype.itemsize == 8
