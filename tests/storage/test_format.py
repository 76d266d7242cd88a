"""The file format, held byte by byte, and the traffic with NumPy both ways."""

from __future__ import annotations

import multiprocessing
import os
import struct
import tempfile
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import pytest
import strict_npy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh

TEXT = b"{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }"
HEADER = b"\x93NUMPY\x01\x00\x76\x00" + TEXT
IN_RAM = b"\x93NUMPY\x01\x00\xf6\x0f" + TEXT
RAM = "/dev/shm" if os.path.isdir("/dev/shm") else None  # where fsync is free
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


def test_file_on_a_disk_is_the_header_and_the_data() -> None:
    a = sh.create("a.npy", (2, 3), "i4")
    a[...] = [[1, 2, 3], [4, 5, 6]]
    data = struct.pack("<6i", 1, 2, 3, 4, 5, 6)
    assert Path("a.npy").read_bytes() == HEADER.ljust(127) + b"\n" + data


def test_strict_readers_read_files_on_a_disk() -> None:
    a = sh.create("a.npy", (2, 3), "i4")
    a[...] = [[1, 2, 3], [4, 5, 6]]
    shape, order, values = strict_npy.read(Path("a.npy").read_bytes())
    assert (shape, order, values) == ((2, 3), "C", [1, 2, 3, 4, 5, 6])
    with open("a.npy", "ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="expected 152 bytes, got 153"):
        strict_npy.read(Path("a.npy").read_bytes())


def test_file_in_ram_is_the_header_block_the_data_and_the_trailer_page() -> None:
    a = sh.create("shm://a", (2, 3), "i4")
    a[...] = [[1, 2, 3], [4, 5, 6]]
    found = Path(str(a.filename)).read_bytes()
    sh.unlink("shm://a")
    assert found[:4096] == IN_RAM.ljust(4095) + b"\n"
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


def test_two_files_in_ram_never_have_the_same_uuid() -> None:
    arrays = [sh.create(name, 3) for name in ("shm://a", "shm://b")]
    uuids = {Path(str(a.filename)).read_bytes()[8192 + 16 : 8192 + 32] for a in arrays}
    assert len(uuids) == 2
    for name in ("shm://a", "shm://b"):
        sh.unlink(name)


@pytest.mark.parametrize(
    ("fields", "in_ram", "version"),
    [(300, 8192, 1), (340, 9984, 1), (600, 16384, 1), (5_000, 122880, 2)],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 2.0")
def test_header_grows_with_the_number_of_fields(
    fields: int, in_ram: int, version: int
) -> None:
    dtype = np.dtype([(f"column_{i:04d}", "f8") for i in range(fields)])
    for name in ("a.npy", "shm://a"):
        a = sh.create(name, 5, dtype, fill_value=1.5)
        start = Path(str(a.filename)).read_bytes()[:10]
        assert (start[6], a.offset % 64) == (version, 0)
        # As for files of numpy.save of so many fields, it wants to be told.
        limit = {} if fields < 400 else {"max_header_size": 1 << 20}
        same_array(np.load(str(a.filename), **limit), np.asarray(a))
        del a
        found = sh.open(name)
        same_array(found, np.full(5, 1.5, dtype))
        if name == "shm://a":
            assert found.offset == in_ram
    sh.unlink("shm://a")
    np.save("b.npy", np.full(5, 1.5, dtype))
    same_array(sh.open("b.npy"), np.full(5, 1.5, dtype))
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()


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
    a = sh.create("shm://a", 3)
    trailer = np.frombuffer(Path(str(a.filename)).read_bytes()[-4096:], "u1")
    sh.unlink("shm://a")
    for path in ("b.npy", Path(str(a.filename)).with_name("b.npy")):
        np.save(path, trailer)
        same_array(sh.open(path), trailer)
        os.unlink(path)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_a_file_has_the_bytes_that_numpy_saves(
    dtype: Any, order: Any, tmp_ram: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_ram)
    for shape in SHAPES:
        same_bytes(sample(np.dtype(dtype), shape, order), order)


def same_bytes(values: Any, order: Any) -> None:
    a = sh.create("ours.npy", values.shape, values.dtype, order=order, overwrite=True)
    a[...] = values
    np.save("theirs.npy", values)
    assert Path("ours.npy").read_bytes() == Path("theirs.npy").read_bytes()
    fill = values.flat[0] if values.size else None
    a = sh.create(
        *("ours.npy", values.shape, values.dtype),
        order=order,
        fill_value=fill,
        overwrite=True,
    )
    same_array(a, np.full_like(values, fill) if values.size else values)
    # From the file: the bytes between fields, and in long doubles, are no values.
    np.save("theirs.npy", np.load("ours.npy"))
    assert Path("ours.npy").read_bytes() == Path("theirs.npy").read_bytes()


def write_a_part(path: str, number: int) -> None:
    a = sh.open(path)
    a[number::3] = number + 1
    a.flush()


def test_processes_that_write_and_flush_leave_nothing_else_in_the_file() -> None:
    sh.create("ours.npy", (30, 7), "f4")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        list(pool.map(write_a_part, ["ours.npy"] * 3, range(3)))
    wanted = np.tile(np.array([[1], [2], [3]], "f4"), (10, 7))
    np.save("theirs.npy", wanted)
    assert Path("ours.npy").read_bytes() == Path("theirs.npy").read_bytes()
    assert sorted(os.listdir()) == ["ours.npy", "theirs.npy"]


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
    with tempfile.TemporaryDirectory(dir=RAM) as directory, catch_warnings():
        simplefilter("ignore")  # about versions of the format
        ours, theirs = f"{directory}/ours.npy", f"{directory}/theirs.npy"
        sh.create(ours, shape, dtype, order=order)
        np.save(theirs, wanted)
        assert Path(ours).read_bytes() == Path(theirs).read_bytes()
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
