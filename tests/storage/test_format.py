"""The file format, held byte by byte, and the traffic with NumPy both ways."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh

HEADER = (
    b"\x93NUMPY\x01\x00\xf6\x0f"
    b"{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }"
)
DTYPES = [
    "b1", "i1", "u1", "<i2", ">i2", "<u4", ">u8", "<f2", "<f4", ">f8", "g",
    "<c8", ">c16", "G", "<M8[ns]", ">M8[D]", "<m8[25s]", "M8", "S5", "<U7", ">U3", "V6",
    [("x", "<f4"), ("y", ">i2")],
    [("p", [("x", "f4"), ("y", "f4")]), ("t", "M8[s]"), ("n", "S3")],
    [("m", "f8", (2, 3)), ("k", "u1")],
    [(("a title", "x"), "f4")],
    [("größe", "f4"), ("Ж", "i4")],
    np.dtype([("a", "u1"), ("b", "f8")], align=True),
    np.dtype({"names": ["a", "b"], "formats": ["u1", "f4"], "offsets": [2, 8],
              "itemsize": 16}),
]  # fmt: skip
SHAPES = [(), (0,), (1,), (7,), (3, 0, 2), (2, 3), (2, 1, 3)]


def test_file_is_the_header_block_the_data_and_the_trailer_page() -> None:
    a = sh.create("a.npy", (2, 3), "i4")
    a[...] = [[1, 2, 3], [4, 5, 6]]
    found = Path("a.npy").read_bytes()
    assert found[:4096] == HEADER.ljust(4095) + b"\n"
    data = struct.pack("<6i", 1, 2, 3, 4, 5, 6)
    assert found[4096:8192] == data.ljust(4096, b"\0")
    constant = found[8192 : 8192 + 64]
    magic, version, kind, zero, uuid, offset, capacity, created, crc, end = (
        struct.unpack("<8sHHI16sQQqII", constant)
    )
    assert (magic, version, kind, zero, end) == (b"\x93SHARRAY", 1, 0, 0, 0)
    assert (offset, capacity, len(uuid.strip(b"\0")) > 8) == (4096, 4096, True)
    assert created > 1_700_000_000_000_000_000
    assert crc == zlib.crc32(constant[:56])
    assert found[8192 + 64 :] == bytes(4096 - 64)


def test_two_files_never_have_the_same_uuid() -> None:
    for name in ("a.npy", "b.npy"):
        sh.create(name, 3)
    uuids = {Path(n).read_bytes()[8192 + 16 : 8192 + 32] for n in ("a.npy", "b.npy")}
    assert len(uuids) == 2


def test_long_structured_dtype_gets_a_header_of_two_blocks() -> None:
    dtype = [(f"field_{i:04d}", "f4") for i in range(300)]
    a = sh.create("a.npy", 5, dtype, fill_value=(1.5,) * 300)
    assert a.offset == 8192
    np.testing.assert_array_equal(np.load("a.npy"), a)


@pytest.mark.parametrize(
    ("fields", "offset", "version"),
    [(340, 9984, 1), (600, 16384, 1), (5_000, 122880, 2)],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 2.0")
def test_header_grows_with_the_number_of_fields(
    fields: int, offset: int, version: int
) -> None:
    dtype = np.dtype([(f"column_{i:04d}", "f8") for i in range(fields)])
    a = sh.create("a.npy", 5, dtype, fill_value=1.5)
    assert (a.offset, Path("a.npy").read_bytes()[6]) == (offset, version)
    # As for files of numpy.save of so many fields, it wants to be told.
    limit = {} if fields == 340 else {"max_header_size": 1 << 20}
    same_array(np.load("a.npy", **limit), np.asarray(a))
    del a
    same_array(sh.open("a.npy"), np.full(5, 1.5, dtype))
    np.save("b.npy", np.full(5, 1.5, dtype))
    same_array(sh.open("b.npy"), np.full(5, 1.5, dtype))


def test_header_longer_than_a_mebibyte_is_refused_at_creation() -> None:
    dtype = np.dtype([(f"column_{i:09d}", "u1") for i in range(50_000)])
    with pytest.raises(sh.DtypeError, match="header would be 1"):
        sh.create("a.npy", 5, dtype)
    assert not Path("a.npy").exists()
    assert sh.ones(2, dtype).dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_numpy_opens_our_files_and_we_open_those_of_numpy(
    dtype: Any, order: Any, tmp_ram: str
) -> None:
    for shape in SHAPES:
        check_both_ways(dtype, order, shape, tmp_ram)


def check_both_ways(
    dtype: Any, order: Any, shape: tuple[int, ...], tmp_ram: str
) -> None:
    values = sample(np.dtype(dtype), shape, order)
    ours, theirs = f"{tmp_ram}/ours.npy", f"{tmp_ram}/theirs.npy"
    a = sh.create(ours, shape, dtype, order=order, overwrite=True)
    a[...] = values
    np.save(theirs, values)
    for found in (
        np.load(ours),
        np.load(ours, mmap_mode="r+") if values.size else np.load(ours),
        sh.open(ours),
        sh.open(theirs),
        sh.open(theirs, mode="r"),
    ):
        same_array(found, values)
        assert found.flags.f_contiguous == values.flags.f_contiguous


def sample(dtype: np.dtype[Any], shape: tuple[int, ...], order: Any) -> Any:
    """Values with every byte in use, but without invalid booleans or NaNs."""
    values = np.zeros(shape, dtype, order)
    flat = np.arange(1, values.size + 1).reshape(shape)
    if dtype.names is None:
        if dtype.kind == "V":
            return values
        values[...] = flat.astype(dtype, casting="unsafe")
    else:
        for name in dtype.names:
            if dtype[name].kind in "fiu" and not dtype[name].shape:
                values[name] = flat
    return values


def same_array(found: Any, wanted: Any) -> None:
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(np.asarray(found), wanted)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_npy_version_opens(version: tuple[int, int]) -> None:
    values = np.arange(6.0).reshape(2, 3)
    with open("a.npy", "wb") as file:
        np.lib.format.write_array(file, values, version=version)
    same_array(sh.open("a.npy"), values)


def test_open_memmap_file_is_written_through() -> None:
    theirs = np.lib.format.open_memmap("a.npy", "w+", dtype="f4", shape=(4, 5))
    ours = sh.open("a.npy")
    ours[1, 2] = 7
    assert theirs[1, 2] == 7
    theirs[3, 4] = 8
    assert ours[3, 4] == 8


def test_numpy_memmap_writes_through_to_our_array() -> None:
    a = sh.create("a.npy", (4, 5), "f4", order="F")
    theirs = np.load("a.npy", mmap_mode="r+")
    theirs[1, 2] = 7
    assert a[1, 2] == 7


def test_foreign_file_with_bytes_behind_its_data_opens() -> None:
    np.save("a.npy", np.arange(5))
    with open("a.npy", "ab") as file:
        file.write(b"something else" * 1000)
    assert sh.open("a.npy").tolist() == [0, 1, 2, 3, 4]


def test_data_that_looks_like_a_trailer_is_data() -> None:
    sh.create("a.npy", 3)
    trailer = np.frombuffer(Path("a.npy").read_bytes()[-4096:], "u1")
    np.save("b.npy", trailer)
    same_array(sh.open("b.npy"), trailer)


def test_numpy_save_and_load_take_a_shared_array() -> None:
    a = sh.array(np.arange(6).reshape(2, 3))
    np.save("a.npy", a)
    np.savez("a.npz", a=a)
    same_array(np.load("a.npy"), np.asarray(a))
    same_array(np.load("a.npz")["a"], np.asarray(a))


@given(
    dtype=st.one_of(
        hnp.scalar_dtypes(),
        hnp.byte_string_dtypes(min_len=1, max_len=9),
        hnp.unicode_string_dtypes(min_len=1, max_len=9),
        hnp.nested_dtypes(max_itemsize=200),
    ).filter(lambda d: np.dtype(d).itemsize > 0 and not np.dtype(d).hasobject),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    order=st.sampled_from("CF"),
)
def test_any_dtype_shape_and_order_survives_the_file(
    dtype: Any, shape: tuple[int, ...], order: str
) -> None:
    wanted = np.zeros(shape, dtype, order)
    a = sh.create("shm://any", shape, dtype, order=order)
    try:
        assert (a.dtype, a.shape) == (wanted.dtype, wanted.shape)
        assert (a.flags.c_contiguous, a.flags.f_contiguous) == (
            wanted.flags.c_contiguous,
            wanted.flags.f_contiguous,
        )
        same_array(np.load(str(a.filename)), wanted)
        same_array(sh.open("shm://any"), wanted)
    finally:
        sh.unlink("shm://any")
