"""The whole dtype, in the array at hand, in files, and at the other end of a handle."""

from __future__ import annotations

import multiprocessing
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import workers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from workers import whole

import sharray as sh


class Row(np.void):
    """A structure's element, of a class of its own."""


PLAIN = [
    *(
        "?",
        "b",
        "B",
        "h",
        "H",
        "i",
        "I",
        "l",
        "L",
        "q",
        "Q",
        "e",
        "f",
        "d",
        "g",
        "F",
        "D",
    ),
    *(
        "G",
        ">q",
        ">Q",
        ">f8",
        "c",
        "S1",
        "S5",
        "U3",
        ">U3",
        "V3",
        "M8",
        "M8[s]",
        ">m8[25s]",
    ),
]
WITH_METADATA = [
    np.dtype("f8", metadata={"unit": "m"}),
    np.dtype(">M8[D]", metadata={"zone": "UTC"}),
    np.dtype([("a", np.dtype("i4", metadata={"unit": "s"})), ("b", "f4")]),
    np.dtype([("a", np.dtype("f4", metadata={"unit": "s"}), (2,))]),
    np.dtype("i1,f8", metadata={"of": "rows"}),
]
STRUCTURES = [
    np.dtype((np.record, [("x", "i4")])),
    np.dtype((Row, [("x", "i4")])),
    np.dtype((Row, "V8")),
    np.dtype("i1,f8", align=True),
    np.dtype([("x", "i1"), ("y", [("a", "u1"), ("b", "f8")])], align=True),
    np.dtype([(("a title", "x"), "f4"), ("y", "M8[s]")]),
    np.dtype([]),
    np.dtype("V0"),
]
OVERLAPPING = np.dtype(
    {"names": ["word", "half"], "formats": ["u4", "u2"], "offsets": [0, 2]}
)
# What no header can say.
IN_RAM_ONLY = [
    OVERLAPPING,
    np.dtype([("x", "i4"), ("inner", OVERLAPPING)]),
    np.dtype({"names": ["b", "a"], "formats": ["i4", "i4"], "offsets": [4, 0]}),
    np.dtype((np.int32, [("low", "i2"), ("high", "i2")])),
    np.dtype({"names": ["x"], "formats": ["f4"], "titles": [(1, 2)]}),
    *(
        np.dtype(getattr(ml_dtypes, name))
        for name in dir(ml_dtypes)
        if name.startswith(("bfloat", "float", "int", "uint"))
    ),
    np.dtype([("x", ml_dtypes.bfloat16), ("y", "f4")]),
]
ON_DISK = [*map(np.dtype, PLAIN), *WITH_METADATA, *STRUCTURES]
ALL = [*ON_DISK, *IN_RAM_ONLY]


def quietly(act: Any, *args: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "a .npy file does not keep the metadata")
        return act(*args, **options)


def some_values(dtype: np.dtype[Any]) -> Any:
    """Every byte in use, but for booleans and text, where that is no value."""
    found = np.zeros(6, dtype)
    if dtype.itemsize and dtype.kind not in "bUM":
        _assign(found, np.arange(6 * dtype.itemsize, dtype="u1").view(dtype))
    return found


def _assign(target: Any, source: Any) -> None:
    """Assign by field: since NumPy 2.5, `=` copies the bytes between them, too."""
    if target.dtype.names is None:
        target[...] = source
        return
    for name in target.dtype.names:
        _assign(target[name], source[name])


def content(array: Any) -> list[bytes]:
    """The bytes of each element; of strided ones `tobytes` makes up the padding."""
    return [array[(*i, np.newaxis)].tobytes() for i in np.ndindex(array.shape)]


def test_new_arrays_in_ram_have_the_whole_dtype() -> None:
    for dtype in ALL:
        values = some_values(dtype)
        for a in (
            sh.zeros(6, dtype),
            sh.empty((2, 3), dtype, "F"),
            sh.zeros_like(values),
            sh.empty_like([1, 2], dtype),
            sh.full(6, values, dtype),
            sh.full_like(values, values),
            sh.array(values),
            sh.array(values[::-1]),
            sh.array(values, dtype),
        ):
            assert whole(a.dtype) == whole(dtype)
            assert a.is_shared
        assert content(sh.array(values)) == content(values)
        assert sh.zeros(6, dtype).tobytes() == bytes(6 * dtype.itemsize)


@pytest.mark.parametrize("protocol", [0, 5])
def test_views_arrive_with_the_whole_dtype(protocol: int) -> None:
    for dtype in ALL:
        a = sh.array(some_values(dtype))
        for view in (a, a[1::2], a[::-1], a.reshape(2, 3).T, a[:0], a[0:1]):
            found = pickle.loads(pickle.dumps(view, protocol))
            assert type(found) is sh.SharedArray
            assert whole(found.dtype) == whole(dtype)
            assert (found.shape, content(found)) == (view.shape, content(view))
            assert np.shares_memory(found, a) or not view.nbytes
        for name in dtype.names or ():
            found = pickle.loads(pickle.dumps(a[name], protocol))
            assert (found.dtype, content(found)) == (a[name].dtype, content(a[name]))


@pytest.mark.parametrize("made", ["anonymous", "{}.npy", "shm://dtypes/{}"])
def test_another_process_has_the_whole_dtype(made: str) -> None:
    arrays = []
    for i, dtype in enumerate(ALL if made == "anonymous" else ON_DISK):
        values = some_values(dtype)
        if made == "anonymous":
            arrays.append(sh.array(values))
        else:
            name = made.format(i)
            arrays.append(quietly(sh.create, name, 6, dtype, fill_value=values))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        there, back = pool.submit(workers.dtypes_of, arrays).result()
    for a, dtype, found in zip(arrays, there, back, strict=True):
        assert dtype == whole(found.dtype) == whole(a.dtype)
        assert content(found) == content(a)
        assert np.shares_memory(a, found) or not a.nbytes
    if "shm" in made:
        for i in range(len(ON_DISK)):
            sh.unlink(made.format(i))


@pytest.mark.parametrize("name", ["a.npy", "shm://a"])
def test_a_named_array_has_it_and_its_file_what_numpy_saves(name: str) -> None:
    for dtype in ON_DISK:
        values = some_values(dtype)
        a = quietly(sh.create, name, 6, dtype, fill_value=values, overwrite=True)
        assert whole(a.dtype) == whole(dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.save("b.npy", values)
        found, wanted = sh.open(name), np.load("b.npy")
        assert whole(found.dtype) == whole(wanted.dtype)
        assert content(found) == content(a) == content(wanted)
    sh.unlink(name)


def test_create_warns_where_numpy_does() -> None:
    for dtype in ON_DISK:
        caught = []
        for act in (
            lambda dtype=dtype: np.save("a.npy", np.zeros(2, dtype)),
            lambda dtype=dtype: sh.create("b.npy", 2, dtype, overwrite=True),
        ):
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                act()
            caught.append([(one.category, one.filename) for one in found])
        theirs, ours = caught
        assert ours == [(UserWarning, __file__)] * bool(theirs)
        assert bool(ours) == any(dtype is one for one in WITH_METADATA)


@pytest.mark.parametrize("name", ["a.npy", "shm://a"])
def test_a_dtype_that_no_header_says_is_refused_by_name_with_a_way_out(
    name: str,
) -> None:
    for dtype in IN_RAM_ONLY:
        as_bytes = f"V{dtype.itemsize}"
        with pytest.raises(sh.DtypeError, match=rf"'{as_bytes}'\)\.view\(dtype\)"):
            sh.create(name, 3, dtype)
        a = sh.create(name, 3, as_bytes).view(dtype)
        assert (a.dtype, a.is_shared) == (dtype, True)
        sh.unlink(name)


def test_a_header_that_cannot_say_the_dtype_says_bytes() -> None:
    a = sh.zeros(3, IN_RAM_ONLY[0])
    pickle.loads(pickle.dumps(a))  # which gives it a name to be opened by
    [listed] = sh.list()
    for found in listed, sh.inspect(a):
        assert (found.dtype, found.shape) == (np.dtype("V4"), (3,))


def test_share_keeps_the_whole_dtype() -> None:
    for dtype in ALL:
        values = some_values(dtype)
        shared = sh.share({"rows": values, "other": np.asfortranarray(values[:, None])})
        for found in shared["rows"], pickle.loads(pickle.dumps(shared))["rows"]:
            assert not dtype.itemsize or found.is_shared
            assert whole(found.dtype) == whole(dtype)
            assert content(found) == content(values)


def test_messages_keep_the_whole_dtype() -> None:
    there, here = multiprocessing.Pipe()
    sh.install(threshold=0)
    for dtype in ALL:
        values = some_values(dtype)
        for sent in values, values[::-1], sh.array(values):
            there.send(sent)
            found = here.recv()
            assert whole(found.dtype) == whole(dtype) or not dtype.itemsize
            assert content(found) == content(sent)
    sh.uninstall()
    there.close()
    here.close()


def test_characters_take_strings() -> None:
    for a in sh.zeros((1, 5), "c"), sh.create("a.npy", (1, 5), "c"):
        a[0] = "asdfg"
        assert a.tobytes() == b"asdfg"
        found = pickle.loads(pickle.dumps(a))
        found[0] = "12345"
        assert a.tobytes() == b"12345"


def test_records_have_attributes() -> None:
    a = sh.zeros(3, np.dtype((np.record, [("x", "i4")])))
    pickle.loads(pickle.dumps(a))[1].x = 7
    assert a[1].x == 7


@given(hnp.array_dtypes(allow_subarrays=True, max_size=4), st.booleans(), st.data())
def test_any_structure_is_kept(base: Any, align: bool, data: st.DataObject) -> None:
    names = list(base.names)
    formats = [base[name] for name in names]
    offsets = [data.draw(st.integers(0, 24)) for _ in names]
    size = max(o + f.itemsize for o, f in zip(offsets, formats, strict=True))
    dtype = base
    if data.draw(st.booleans()):
        spec = {
            "names": names,
            "formats": formats,
            "offsets": offsets,
            "itemsize": size,
        }
        dtype = np.dtype(spec)
    elif align:
        dtype = np.dtype(
            [(n, f) for n, f in zip(names, formats, strict=True)], align=True
        )
    a = sh.zeros(3, dtype)
    assert whole(a.dtype) == whole(dtype)
    found = pickle.loads(pickle.dumps(a[::-1]))
    assert found.dtype == dtype
    try:
        named = sh.create("a.npy", 3, dtype, overwrite=True)
    except sh.DtypeError:
        with pytest.raises(ValueError, match="overlapping or out-of-order"):
            str(dtype.descr)
        return
    assert whole(named.dtype) == whole(dtype)
    assert np.load("a.npy").dtype == sh.open("a.npy").dtype == dtype
