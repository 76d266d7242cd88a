"""The constructors, against NumPy's of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh

MODELS: list[Any] = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(24).reshape(2, 3, 4)[:, ::2],
    np.float32(3),
    [[1, 2], [3, 4]],
    np.zeros((0, 3), "M8[s]"),
    np.zeros(2, [("x", "f4"), ("y", "S3")]),
]


def same(found: Any, wanted: Any) -> None:
    assert type(found) is sh.SharedArray
    assert found.is_shared
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(found, wanted)
    assert found.flags.f_contiguous == wanted.flags.f_contiguous
    assert found.flags.writeable
    assert (found.mode, found.filename, found.durable) == ("r+", None, False)


@pytest.mark.parametrize("name", ["empty", "zeros", "ones"])
@pytest.mark.parametrize("shape", [5, (), (2, 3), [4, 1], np.int64(3), (0, 2)])
@pytest.mark.parametrize("dtype", [float, "i4", ">f4", ("f4", (2,)), "M8[s]", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_by_shape(name: str, shape: Any, dtype: Any, order: Any) -> None:
    if name == "ones" and dtype == "M8[s]":
        return  # NumPy itself has no ones of datetime64
    wanted = getattr(np, "zeros" if name == "empty" else name)(shape, dtype)
    found = getattr(sh, name)(shape, dtype, order)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("shape", "value", "dtype"),
    [
        ((2, 3), 7, None),
        ((2, 3), 7, "f4"),
        (5, "abc", None),
        (5, b"ab", "S7"),
        ((2, 3), [1, 2, 3], None),
        ((2, 3), np.nan, None),
        (4, np.datetime64("2020-01-01"), None),
        ((), 3, None),
        ((0, 3), 3, None),
        (300_000, 2.5, None),
        (70_000, (1, 2.5), [("a", "i4"), ("b", "f8")]),
        ((3,), True, None),
        (200_000, 1 + 2j, "c8"),
        (3, -0.0, None),
    ],
)
def test_full(shape: Any, value: Any, dtype: Any) -> None:
    wanted = np.empty(shape, np.asarray(value).dtype if dtype is None else dtype)
    wanted[...] = value
    found = sh.full(shape, value, dtype)
    same(found, wanted)
    assert found.tobytes() == wanted.tobytes()
    same(sh.full_like(wanted, value), wanted)


@pytest.mark.parametrize("name", ["empty", "zeros", "ones"])
@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("order", ["K", "A", "C", "F"])
def test_like(name: str, model: Any, order: Any) -> None:
    if name == "ones" and np.asarray(model).dtype.kind in "MV":
        return  # NumPy itself has no ones of this dtype
    wanted = getattr(np, f"{'zeros' if name == 'empty' else name}_like")(model)
    found = getattr(sh, f"{name}_like")(model, order=order)
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype
    is_fortran = np.isfortran(np.asarray(model))
    if order == "F" or (order in "KA" and is_fortran):
        assert found.flags.f_contiguous
    else:
        assert found.flags.c_contiguous


def test_like_takes_dtype_and_shape() -> None:
    same(sh.zeros_like([1, 2], "f4", shape=(2, 2)), np.zeros((2, 2), "f4"))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_array_copies(model: Any) -> None:
    found = sh.array(model)
    np.testing.assert_array_equal(found, np.array(model))
    assert found.dtype == np.array(model).dtype
    assert not np.shares_memory(found, np.asarray(model))
    assert np.isfortran(found) == np.isfortran(np.asarray(model))


@given(
    hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), hnp.byte_string_dtypes(min_len=1)),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    st.sampled_from("KACF"),
)
def test_array_equals_its_source(source: Any, order: Any) -> None:
    for model in (source, source.T, source[::-1] if source.ndim else source):
        found = sh.array(model, order=order)
        assert found.dtype == model.dtype
        assert np.array_equal(
            np.asarray(found).tobytes(), np.ascontiguousarray(model).tobytes()
        )


def test_array_takes_dtype_and_order() -> None:
    same(
        sh.array([[1, 2], [3, 4]], "f4", order="F"),
        np.array([[1, 2], [3, 4]], "f4", order="F"),
    )


def test_array_larger_than_the_page_cache_block_is_whole() -> None:
    source = np.random.default_rng(1).integers(0, 255, 5_000_001).astype("u1")
    assert np.array_equal(sh.array(source), source)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: sh.zeros(-1), sh.ShapeError, "negative"),
        (lambda: sh.zeros((2, -3)), sh.ShapeError, "negative"),
        (lambda: sh.zeros((1,) * 65), sh.ShapeError, "64 dimensions"),
        (lambda: sh.zeros(2.5), sh.ShapeError, "integer"),
        (lambda: sh.zeros("abc"), sh.ShapeError, "integer"),
        (lambda: sh.zeros((2**40, 2**40)), sh.ShapeError, "address space"),
        (lambda: sh.zeros(3, object), sh.DtypeError, "pointers"),
        (lambda: sh.zeros(3, [("a", "O")]), sh.DtypeError, "pointers"),
        (lambda: sh.zeros(3, np.dtypes.StringDType()), sh.DtypeError, "pointers"),
        (lambda: sh.zeros(3, "nonsense"), sh.DtypeError, "understand"),
        (lambda: sh.array([None]), sh.DtypeError, "pointers"),
        (lambda: sh.zeros(3, order="K"), ValueError, "'C' or 'F'"),
        (lambda: sh.array([1], order="X"), ValueError, "'K' or 'A'"),
        (lambda: sh.full(3, "abc", "f4"), ValueError, "abc"),
        (lambda: sh.full(3, [1, 2]), ValueError, "broadcast"),
    ],
)
def test_bad_argument_is_refused(make: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        make()


def test_string_without_a_length_gets_one_as_in_numpy() -> None:
    assert sh.empty(3, "S").dtype == np.empty(3, "S").dtype
    assert sh.empty(3, str).dtype == np.empty(3, str).dtype


def test_more_anonymous_arrays_than_stay_without_a_name() -> None:
    arrays = [sh.full(3, i) for i in range(100)]
    assert [int(a[0]) for a in arrays] == list(range(100))


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda a: a,
    "transposed": lambda a: a.T,
    "every second": lambda a: a[:, ::2],
    "reversed": lambda a: a[::-1, ::-1],
    "permuted": lambda a: a.reshape(-1, 5, a.shape[1]).transpose(1, 2, 0),
    "repeated": lambda a: np.broadcast_to(a[0], a.shape),
}


@pytest.mark.parametrize("order", ["K", "C", "F"])
@pytest.mark.parametrize("rows", [5, 1000, 2500])  # blocks, blocks, in place
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_layout_and_size_are_copied(
    layout: str, rows: int, order: str
) -> None:
    source = LAYOUTS[layout](np.arange(rows * 444.0).reshape(rows, 444))
    found = sh.array(source, order=order)
    assert np.array_equal(found, source)
    assert found.flags.c_contiguous or found.flags.f_contiguous


def test_nothing_but_the_fields_of_a_structure_is_copied() -> None:
    dtype = np.dtype([("a", "u1"), ("b", "f8")], align=True)
    source = np.frombuffer(b"\xff" * 16 * 20, dtype)[::2]
    found = sh.array(source)
    assert found["a"].tolist() == source["a"].tolist()
    assert found["b"].tobytes() == source["b"].tobytes()
    assert not np.frombuffer(found.tobytes(), "u1").reshape(-1, 16)[:, 1:8].any()
