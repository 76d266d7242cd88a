"""Headers of other writers: `numpy.load` is the oracle for which open, and as what."""

from __future__ import annotations

import io
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh

DATA = bytes(i % 251 + 1 for i in range(4096))
LINE_BREAK_AND_SPACES = re.compile(rb"[\r\n][ \t\r\n]*[ \t\r]")
OF_NUMPY = sorted((Path(np.__file__).parent / "lib/tests/data").glob("*.npy"))


def write(name: str, text: str, version: int = 1, data: bytes = DATA) -> None:
    body = text.encode("utf-8" if version == 3 else "latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(body))
    content = b"\x93NUMPY" + bytes([version, 0]) + length + body + data
    Path(name).write_bytes(content)


def load(name: str | Path) -> Any:
    """As NumPy, or None if it refuses the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = np.load(name)
            # For a negative dimension, NumPy 2.0 reads all that the file has.
            return None if min(shape_in(name), default=0) < 0 else found
        except Exception:  # of any kind
            return None


def shape_in(name: str | Path) -> tuple[int, ...]:
    """The shape that NumPy reads in a header."""
    with open(name, "rb") as file:
        if np.lib.format.read_magic(file) == (1, 0):
            return np.lib.format.read_array_header_1_0(file)[0]
        return np.lib.format.read_array_header_2_0(file)[0]


def load_says_in_which_order_items_of_no_bytes_lie() -> bool:
    """NumPy 2.0 says that they lie in both."""
    file = io.BytesIO()
    np.save(file, np.zeros((2, 3), "V0"))
    file.seek(0)
    flags = np.load(file).flags
    return not (flags.c_contiguous and flags.f_contiguous)


def opened(name: str | Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of NumPy about old spellings
        return sh.open(name, mode="r")


def agrees_with_numpy(name: str | Path) -> bool:
    """Check that we read just what NumPy reads; returns whether it does."""
    wanted = load(name)
    # Spaces after a last line break: up to Python 3.11 only, its tokenizer passes them.
    if wanted is None and not LINE_BREAK_AND_SPACES.search(Path(name).read_bytes()):
        with pytest.raises(sh.FormatError) as caught:
            opened(name)
        assert "damaged" not in str(caught.value)
        return False
    if wanted is not None:
        same(opened(name), wanted)
    return wanted is not None


def same(found: Any, wanted: Any) -> None:
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.dtype.char == wanted.dtype.char
    if wanted.itemsize > 0 or load_says_in_which_order_items_of_no_bytes_lie():
        assert found.flags.f_contiguous == wanted.flags.f_contiguous
    assert found.tobytes() == wanted.tobytes()


def header(
    descr: str = "'<f8'", fortran_order: str = "False", shape: str = "(3,)"
) -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}, }}"


@pytest.mark.parametrize("path", OF_NUMPY, ids=lambda path: path.name)
def test_files_that_numpy_is_tested_with(path: Path) -> None:
    assert agrees_with_numpy(path) == ("objarr" not in path.name)


# -- spellings -------------------------------------------------------------------

NAMES = sorted(
    {str(name) for name in np._core.sctypeDict}  # type: ignore[attr-defined]
    | {f"{order}{char}" for order in ("", *"<>|=") for char in np.typecodes["All"]}
    | {f"{order}{kind}{size}" for order in "<>|=" for kind in "biufcSUVmM"
       for size in ("", 0, 1, 2, 3, 4, 8, 16, 32, 10**10)}
    | {"M8[s]", "<m8[25s]", "M8[s/2]", "M8[D/0024]", "M8[s/7]", "M8[s/10000000]",
       "datetime64[ms]", "timedelta64[10us]", "M8[generic]", "M8[(2,s)]", "M8[ 2s]",
       "f4,i2", "f4,", "<i4, >f8", "2f4,i2", "(2,)f4,i1", "(2,2)f4", "3f4", "f4;i2",
       "", " f8", "f8 ", ">>f8", "f8f8", "O", "object", "|O8", "T", "nonsense",
       "numpy.float64", "__import__('os')", "f4\n", "\N{MICRO SIGN}"}
)  # fmt: skip


@pytest.mark.parametrize("first", "<=>|abcdefghilmnopqstuvANOther")
def test_every_spelling_of_a_dtype(first: str) -> None:
    names = [n for n in NAMES if n[:1] == first] if first != "r" else NAMES[:1]
    for name in names:
        write("x.npy", header(repr(name), shape="(2, 3)"))
        agrees_with_numpy("x.npy")


@pytest.mark.parametrize(
    ("name", "is_read"),
    [
        *(
            ("<f", 1),
            ("<d", 1),
            ("d", 1),
            ("|B", 1),
            ("|b", 1),
            ("float64", 1),
            ("e", 1),
        ),
        *(("?", 1), ("b1", 1), ("M8[25s]", 1), ("<q", 1), ("c", 1), ("f4,i2", 1)),
        *(("S0", 1), ("V0", 1), ("O", 0), ("f3", 0), ("T", 0), ("", 0)),
    ],
)
def test_spellings_known_to_be_read_or_not(name: str, is_read: int) -> None:
    write("x.npy", header(repr(name)))
    assert agrees_with_numpy("x.npy") == bool(is_read)


STRUCTURES = [
    "[('a', '<f8')]", "[['a', '<f8']]", "[('a', 'f4'), ('b', 'int16')]",
    "[('a', '<f8', 2)]", "[('a', '<f8', [2])]", "[('a', '<f8', (2, 3))]",
    "[('a', '<f8', ())]", "[('a', '<f8', 1)]", "[('a', '<f8', (0,))]",
    "[(('t', 'a'), '<f8')]", "[((None, 'a'), '<f8')]", "[((1, 'a'), '<f8')]",
    "[('', '|V4'), ('a', '<f4')]", "[('a', '|V4'), ('', '|V4'), ('b', '<f4')]",
    "[('', '<f4')]", "[('', '<f4'), ('', '<i2')]", "[('größe', '<f4')]",
    "[('a', [('b', '<f4', (2, 2)), (('t', 'c'), '>i2')])]", "[('a', ('<f4', (2,)))]",
    "[]", "[('a', [])]", "[('a', 'S0')]", "[('a', '|O')]", "[('a', 'f4,i2')]",
    "('<f8', 1)", "('<f8', ())", "('S', 5)", "('<f8', (2,))", "('<f8', 2)",
    "[('a', '<f8'), ('a', '<f4')]", "[(('b', 'a'), '<f8'), ('b', '<f4')]",
    "{'names': ['a'], 'formats': ['<f8']}", "None", "8", "b'<f8'", "[1]", "[('a',)]",
    "[('a', '<f8', (1,), 0)]", "[(1, '<f8')]", "[(('a', 'b', 'c'), '<f8')]",
    "[('a', " * 60 + "'<f8'" + ")]" * 60,
]  # fmt: skip


@pytest.mark.parametrize("descr", STRUCTURES)
def test_structures(descr: str) -> None:
    for version, shape in [(1, "(3,)"), (3, "(3,)"), (1, "(0,)"), (1, "(0, 2)")]:
        write("x.npy", header(descr, shape=shape), version)
        agrees_with_numpy("x.npy")


@pytest.mark.parametrize("descr", ["['ab']", "{'ab': 1}", "('<i4', [('a', '<i4')])"])
def test_structures_that_only_numpy_reads_are_refused_with_a_remedy(descr: str) -> None:
    write("x.npy", header(descr))
    assert load("x.npy") is not None
    with pytest.raises(sh.FormatError, match=r"write it again with numpy\.save"):
        sh.open("x.npy")


SHAPES = [
    "()", "(0,)", "(3,)", "(3L,)", "(3 L, 2L)", "(0x3,)", "(0x3L,)", "(1_0,)", "(+3,)",
    "((3),)", "(3)", "[3]", "(3.0,)", "(True,)", "(-1,)", "(-1, -1)", "(2, -3)",
    "(0, -1)", "(3,)  # three", "(10**2,)", "(0, 4611686018427387904, 0)",
    "(9223372036854775808, 0)", "(4294967296, 4294967296, 0)", "(1000000000000,)",
    "(" + "1, " * 64 + ")", "(" + "1, " * 65 + ")", "None", "'3'", "(3l,)", "(3LL,)",
    "(0o3L,)", "(0b11 L,)", "(3_0L,)", "(3 L L,)", "(3\\\nL,)", "(3\nL,)", "(3.0L,)",
    "(0x_3L,)", "(L,)", "('L', 3L)", "(3L)", "(-1L,)", "(+1L,)", "(1LF,)", "(1L L_,)",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("descr", ["'<f8'", "'S0'", "'|u1'"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_shapes(shape: str, descr: str, version: int) -> None:
    text = header(descr, shape=shape).replace("# three", "# three\n")
    write("x.npy", text, version)
    agrees_with_numpy("x.npy")


TEXTS = [
    "\n" + header(), "  \t" + header(), header() + "\r\n", header() + "\x0c", header(),
    header() + "\0\0", "(" + header() + ")", "# by hand\n" + header() + " # end",
    header().replace(", ", ",\n"), header().replace(": ", ":\t"), header() + "x",
    header().replace("'", '"'), header().replace("'descr'", "u'descr'"),
    header().replace("'descr'", r"'\x64escr'"), header().replace("'<f8'", "'<' 'f8'"),
    header().replace("'descr'", "b'descr'"), header().replace("}", "'more': 1}"),
    header().replace("{", "{'descr': '<f4', "), "dict(descr='<f8')", "", "{}", "\xa0" +
    header(), header()[:-1], header() + header(), header(fortran_order="1"),
    header(fortran_order="None"), header(fortran_order="(True)"), "[" * 150,
    header().replace("'<f8'", "f'<f8'"), header().replace("'<f8'", "L'3L'"),
    header("[('3L', '<f8')]", shape="(3L,)"), header() + " " * 9000,
    header(shape="# it's\n(3L, # it's\n)"),
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("version", [1, 2, 3])
def test_texts(text: str, version: int) -> None:
    write("x.npy", text, version)
    agrees_with_numpy("x.npy")


# -- any of it ---------------------------------------------------------------------


def spellings_of(dtype: np.dtype[Any]) -> st.SearchStrategy[str]:
    descr = np.lib.format.dtype_to_descr(dtype)
    if not isinstance(descr, str):
        plain = repr(descr)
        return st.sampled_from([plain, plain.replace("'", '"'), as_lists(descr)])
    found = [descr]
    if dtype.kind in "biufc":
        found += [dtype.byteorder.replace("=", "<") + dtype.char]
        if dtype.isnative:
            found += [dtype.char, dtype.name, f"{dtype.kind}{dtype.itemsize}"]
    return st.sampled_from([repr(one) for one in found])


def as_lists(descr: Any) -> str:
    """As JSON and other languages would write the fields of a structure."""
    if isinstance(descr, str):
        return repr(descr)
    fields = []
    for name, inner, *shape in descr:
        parts = [repr(name), as_lists(inner), *(repr(list(s)) for s in shape)]
        fields.append(f"[{', '.join(parts)}]")
    return f"[{', '.join(fields)}]"


dtypes = st.one_of(
    hnp.scalar_dtypes(),
    hnp.byte_string_dtypes(min_len=1, max_len=9),
    hnp.unicode_string_dtypes(min_len=1, max_len=9),
    hnp.nested_dtypes(max_itemsize=100),
    hnp.array_dtypes(allow_subarrays=True, max_size=4),
).filter(lambda d: not d.hasobject and d.itemsize > 0 and d.subdtype is None)


@st.composite
def headers(draw: st.DrawFn) -> tuple[str, int, np.ndarray[Any, Any]]:
    """A header in any of its forms, its version, and the array that it describes."""
    dtype = np.dtype(draw(dtypes))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    order = draw(st.booleans())
    version = draw(st.sampled_from([1, 2, 3]))
    number = ["{}", "{:#x}", "+{}"] + ["{}L", "{} L"] * (version < 3)
    numbers = [draw(st.sampled_from(number)).format(n) for n in shape]
    space = st.sampled_from(["", " ", "  ", "\t", "\n", "\n  ", " # comment\n"])
    items = [
        ("descr", draw(spellings_of(dtype))),
        ("fortran_order", str(order)),
        ("shape", f"({','.join(numbers)}{',' * (len(numbers) == 1)})"),
    ]
    text = ""
    for key, value in draw(st.permutations(items)):
        quote = draw(st.sampled_from("'\""))
        text += f"{draw(space)}{quote}{key}{quote}{draw(space)}:{draw(space)}{value},"
    text = draw(st.sampled_from(["", " ", "\t", "\n", "#\n"])) + "{" + text + "}"
    text += draw(st.sampled_from(["", "\n", " # end", "\r\n"]))
    text += " " * draw(st.integers(0, 200)) + draw(st.sampled_from(["", "\n"]))
    count = int(np.prod(shape))
    data = np.frombuffer(DATA[: count * dtype.itemsize], "u1")
    if dtype.kind == "U" or dtype.names is not None:
        data = np.zeros_like(data)
    return text, version, data.view(dtype).reshape(shape, order="F" if order else "C")


@given(headers(), st.sampled_from([b"", b"more behind it"]))
@example(
    ("{'descr':'<f8','fortran_order':False,'shape':(3L,)}", 2, np.arange(3.0)), b""
)
def test_any_equivalent_header_opens_with_equal_values(
    written: tuple[str, int, np.ndarray[Any, Any]], behind: bytes
) -> None:
    text, version, values = written
    try:
        write("x.npy", text, version, values.tobytes("A") + behind)
    except UnicodeEncodeError:
        return  # of names that Latin-1 does not have
    if agrees_with_numpy("x.npy"):
        same(opened("x.npy"), values)


TOKENS = [
    *(
        "False",
        "True",
        "None",
        "()",
        "[]",
        "{}",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
    ),
    *(
        "'",
        '"',
        "-",
        "+",
        "*",
        "#",
        "\\",
        "\n",
        "\t",
        " ",
        "L",
        "0",
        "1",
        "3",
        "0x",
        "_",
    ),
    *(
        "'descr'",
        "'shape'",
        "'fortran_order'",
        "'<f8'",
        "'|O'",
        "'S0'",
        "'f4,i2'",
        "b''",
    ),
    *("(1,)", "(0,)", "('<f8', (2,))", "[('a', '<f8'), ('b', '|u1')]", "[('', '|V3')]"),
]


@given(headers(), st.data())
def test_whatever_becomes_of_a_header_we_read_what_numpy_reads(
    written: tuple[str, int, np.ndarray[Any, Any]], data: st.DataObject
) -> None:
    text, version, _ = written
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(text)))
        end = begin + data.draw(st.integers(0, 5))
        text = text[:begin] + data.draw(st.sampled_from(TOKENS)) + text[end:]
    try:
        write("x.npy", text, version)
    except UnicodeEncodeError:
        return
    agrees_with_numpy("x.npy")


@pytest.mark.parametrize(
    "text",
    [
        "{'\x1b[31mdescr': '<f8'}",
        header("'\x1b[31m'"),
        header(fortran_order="'\x1b[31m'"),
        header(shape="'\x1b[31m'"),
        header("[('\x1b[31m', '\x1b[31m')]"),
        header() + "\x1b[31m",
        "'\x1b[31m'",
    ],
)
def test_errors_show_no_control_characters_of_a_header(text: str) -> None:
    write("x.npy", text)
    with pytest.raises(sh.FormatError) as caught:
        sh.open("x.npy")
    assert str(caught.value).isprintable()


# -- where the data begins -----------------------------------------------------------


@pytest.mark.parametrize("offset", [63, 64, 79, 80, 96, 97, 127, 128, 4095, 4097, 9999])
@pytest.mark.parametrize("dtype", ["<f8", ">i2", "S3", "M8[s]", "i1,f8"])
def test_data_that_begins_anywhere(offset: int, dtype: str) -> None:
    values = np.zeros((5, 3), dtype)
    values.view("u1")[...] = np.arange(values.nbytes).reshape(5, -1) % 100
    text = header(repr(np.lib.format.dtype_to_descr(values.dtype)), shape="(5,3)")
    text = text.replace(", ", ",").replace(": ", ":")
    write("x.npy", text.ljust(max(offset - 10, len(text))), data=values.tobytes())
    assert agrees_with_numpy("x.npy")
    same(opened("x.npy"), values)
    a = sh.open("x.npy")
    a[2] = a[0]
    a.flush()
    values[2] = values[0]
    same(np.load("x.npy"), values)


def test_header_with_the_first_bytes_of_a_known_one_is_read_itself() -> None:
    for padding, shape in [(200, "(3,)"), (200, "(3,)"), (300, "(3,)"), (200, "(4,)")]:
        text = header("[('" + "a" * 100 + "', '<f8')]", shape=shape).ljust(padding)
        write("x.npy", text)
        assert agrees_with_numpy("x.npy")


@pytest.mark.parametrize("behind", ["\n   ", "\r\n ", " # by hand\n    ", "\n\t\n"])
def test_spaces_after_a_last_line_break(behind: str) -> None:
    write("x.npy", header(shape="(2, 3)") + behind, data=np.arange(6.0).tobytes())
    same(opened("x.npy"), np.arange(6.0).reshape(2, 3))


def test_renaming_fields_in_place_changes_no_other_array() -> None:
    np.save("x.npy", np.zeros(3, [("a", "i4"), ("b", [("c", "f4")])]))
    for _ in range(3):
        a = sh.open("x.npy")
        assert (a.dtype.names, a.dtype["b"].names) == (("a", "b"), ("c",))
        a.dtype["b"].names = ("other",)
        a.dtype.names = ("x", "y")


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_python_2_are_as_quick_to_open_again(version: int) -> None:
    write("x.npy", header(shape="(3L, 2L)").ljust(150), version)
    for _ in range(2):
        assert agrees_with_numpy("x.npy")
