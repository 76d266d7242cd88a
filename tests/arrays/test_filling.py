"""The first values of arrays: NumPy is the oracle, and nothing is destroyed."""

from __future__ import annotations

import gc
import os
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh
from sharray.storage import header

ROWS = np.dtype([("a", "u1"), ("b", "f8")], align=True)


def outcome(act: Callable[[], Any]) -> Any:
    """What it returns, or the type of its error; warnings are told apart."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = act()
        except Exception as error:
            return type(error)
    return found, [one.category for one in caught]


def columns(a: Any) -> list[Any]:
    """The fields: NumPy says nothing about the bytes between them."""
    return [a] if a.dtype.names is None else [a[name] for name in a.dtype.names]


def same_outcome(found: Any, wanted: Any) -> None:
    if isinstance(wanted, type):
        assert isinstance(found, type), f"{wanted} expected, not {found!r}"
        assert issubclass(found, wanted)
        return
    assert not isinstance(found, type), f"{wanted!r} expected, not {found}"
    (a, warned), (b, warned_too) = found, wanted
    assert (a.dtype, a.dtype.char, a.shape) == (b.dtype, b.dtype.char, b.shape)
    for one, other in zip(columns(a), columns(b), strict=True):
        assert one.tobytes() == other.tobytes()
    assert a.flags.f_contiguous == b.flags.f_contiguous
    assert bool(warned) == bool(warned_too)


def left_in_ram() -> list[str]:
    """Files, and directories of names."""
    root = Path(os.environ["SHARRAY_RAM_DIR"])
    return [str(p) for p in root.rglob("*") if p.is_file() or "deep" in p.name]


def assign(shape: Any, dtype: Any, order: Any, value: Any) -> Any:
    found = np.zeros(shape, dtype, order)
    found[...] = value
    return found


scalars = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-300, 300),
    st.floats(allow_nan=True),
    st.complex_numbers(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.booleans(),
    st.none(),
    st.just(np.datetime64("2020-01-01")),
    hnp.arrays(hnp.scalar_dtypes(), ()).map(lambda a: a[()]),
)
values = st.one_of(
    scalars,
    st.lists(st.one_of(st.integers(-300, 300), st.floats(), st.none()), max_size=3),
    st.lists(st.lists(st.integers(-1, 2**40), min_size=3, max_size=3), max_size=2),
    hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), hnp.unicode_string_dtypes(max_len=3)),
        hnp.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=3),
    ),
)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
dtypes = st.sampled_from(
    [
        "f8",
        "f4",
        "i1",
        "u1",
        "i4",
        "i8",
        "u8",
        "c8",
        "?",
        "S2",
        "U2",
        "V3",
        ">f4",
        "M8[s]",
    ]
)


@given(shapes, values, st.none() | dtypes, st.sampled_from("CF"))
def test_full_is_that_of_numpy(shape: Any, value: Any, dtype: Any, order: Any) -> None:
    wanted = outcome(lambda: np.full(shape, value, dtype, order))
    found = outcome(lambda: sh.full(shape, value, dtype, order))
    if found is sh.DtypeError:
        assert isinstance(wanted, type) or wanted[0].dtype.hasobject
        return
    same_outcome(found, wanted)


@given(values, values, st.none() | dtypes, st.none() | shapes)
def test_full_like_is_that_of_numpy(
    model: Any, value: Any, dtype: Any, shape: Any
) -> None:
    wanted = outcome(lambda: np.full_like(model, value, dtype, "C", shape=shape))
    found = outcome(lambda: sh.full_like(model, value, dtype, "C", shape))
    if found is sh.DtypeError:
        assert isinstance(wanted, type) or wanted[0].dtype.hasobject
        return
    same_outcome(found, wanted)


@given(shapes, values.filter(lambda v: v is not None), dtypes, st.sampled_from("CF"))
def test_create_fills_as_assignment_does(
    shape: Any, value: Any, dtype: Any, order: Any
) -> None:
    wanted = outcome(lambda: assign(shape, dtype, order, value))
    found = outcome(
        lambda: sh.create("shm://filled", shape, dtype, order=order, fill_value=value)
    )
    if isinstance(found, type):
        # Of several errors, which comes first is not said.
        assert isinstance(wanted, type)
        with pytest.raises(sh.ArrayNotFoundError):
            sh.open("shm://filled")
        assert left_in_ram() == []
    else:
        same_name = sh.open("shm://filled")
        sh.unlink("shm://filled")
        assert same_name.tobytes() == found[0].tobytes()
        same_outcome(found, wanted)


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
@pytest.mark.parametrize(
    "dtype", ["f8", "M8[s]", "S3", "U2", "V3", "S", "U", ">U", "V", ROWS, "?", "c", "q"]
)
def test_ones_and_zeros_of_any_dtype_are_those_of_numpy(name: str, dtype: Any) -> None:
    wanted = outcome(lambda: getattr(np, name.replace("empty", "zeros"))(3, dtype))
    found = outcome(lambda: getattr(sh, name)(3, dtype))
    same_outcome(found, wanted)


@pytest.mark.parametrize("shape", [True, (True, 3)])
def test_comparisons_by_mistake_are_no_shapes(shape: Any) -> None:
    with pytest.raises(sh.ShapeError, match="integer"):
        sh.zeros(shape)


@pytest.mark.parametrize(
    "shape", [-1, (2, -1), 2.5, "ab", None, [2, 2.5], (1,) * 65, (2**40, 2**40), {}]
)
def test_errors_of_shapes_are_those_of_numpy(shape: Any) -> None:
    wanted = outcome(lambda: np.full(shape, 1))
    if not isinstance(wanted, type):
        assert wanted[1] == [DeprecationWarning]  # of NumPy 2.0, for None
        wanted = TypeError
    same_outcome(outcome(lambda: sh.full(shape, 1)), wanted)
    same_outcome(outcome(lambda: sh.zeros(shape)), wanted)
    same_outcome(outcome(lambda: sh.create("a.npy", shape)), wanted)


MODEL = np.zeros((2, 3), order="F")


@pytest.mark.parametrize("order", ["C", "F", "c", "f", None, "K", "A", "X", "", 1, "k"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("full", ((2, 3), 1)),
        ("zeros", ((2, 3),)),
        ("full_like", (MODEL, 1)),
        ("zeros_like", (MODEL,)),
        ("array", (MODEL,)),
    ],
)
def test_orders_are_those_of_numpy(name: str, arguments: Any, order: Any) -> None:
    wanted = outcome(lambda: getattr(np, name)(*arguments, order=order))
    found = outcome(lambda: getattr(sh, name)(*arguments, order=order))
    same_outcome(found, wanted)


def test_none_is_a_value_for_full_and_zeros_for_create() -> None:
    assert np.isnan(sh.full(3, None, float)).all()
    assert np.isnan(sh.full_like([1.0, 2.0], None)).all()
    with pytest.raises(sh.DtypeError, match="fixed-size dtype"):
        sh.full(3, None)
    with pytest.raises(TypeError):
        sh.full_like([1, 2], None)
    assert sh.create("a.npy", 3, fill_value=None).tolist() == [0, 0, 0]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f8", "u1", "S3", ROWS])
def test_values_larger_than_a_block(order: Any, dtype: Any) -> None:
    shape = (3, 170, 1000)
    numbers = np.arange(np.prod(shape), dtype="i4").reshape(shape) % 100
    for value in (
        numbers,
        numbers[1],
        numbers[:, :, :1],
        numbers.T.copy().T,
        numbers[0, 0],
    ):
        wanted = assign(shape, dtype, order, value)
        found = sh.create(
            "a.npy", shape, dtype, order=order, fill_value=value, overwrite=True
        )
        assert np.array_equal(found, wanted)
        assert np.array_equal(sh.full(shape, value, dtype, order), wanted)


def test_rows_longer_than_a_block() -> None:
    value = np.arange(100_000.0)
    assert np.array_equal(sh.full((3, 100_000), value), np.full((3, 100_000), value))
    a = sh.full((2, 3), np.zeros(1, "S300000"), "S300000")
    assert (a.shape, a.nbytes, a.tobytes().strip(b"\0")) == ((2, 3), 1_800_000, b"")


def test_one_tuple_is_one_element() -> None:
    assert sh.full(3, (1, 2.5), ROWS).tolist() == [(1, 2.5)] * 3
    a = sh.create("a.npy", 2, ROWS, fill_value=[(1, 2.5), (3, 4.5)])
    assert a.tolist() == [(1, 2.5), (3, 4.5)]
    a = sh.create("b.npy", (2, 2), ROWS, fill_value=(1, 2.5))
    assert a.tolist() == [[(1, 2.5)] * 2] * 2


def test_bytes_between_fields_are_zero() -> None:
    for value in (1, 2.5), np.ones(5, ROWS), np.array((1, 2.5), ROWS):
        for a in (
            sh.full(5, value, ROWS),
            sh.create("a.npy", 5, ROWS, fill_value=value, overwrite=True),
        ):
            assert not a.view("u1").reshape(5, 16)[:, 1:8].any()


def test_a_fill_value_may_be_a_view_of_what_is_overwritten() -> None:
    a = sh.create("a.npy", (3, 4), fill_value=np.arange(12.0).reshape(3, 4))
    b = sh.create("a.npy", (4, 3), fill_value=a.T, overwrite=True)
    assert np.array_equal(b, np.arange(12.0).reshape(3, 4).T)
    assert np.array_equal(a, np.arange(12.0).reshape(3, 4))


# -- what does not fit ---------------------------------------------------------------

late = np.array(["1"] * 100_000 + ["no number"])


@pytest.mark.parametrize("name", ["a.npy", "shm://deep/a"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([1, 2], sh.ShapeError),
        ([1, 2**40] + [3] * 99_999, OverflowError),
        ("abc", ValueError),
        (["a"] * 100_001, ValueError),
        (late, ValueError),
        (late[::-1], ValueError),
        (2**40, OverflowError),
        (float("nan"), ValueError),
        (1j, TypeError),
        (object(), TypeError),
        ([[1], [1, 2]], ValueError),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_value_that_does_not_fit_changes_nothing(
    name: str, value: Any, error: Any
) -> None:
    with pytest.raises(error):
        sh.create(name, 100_001, "i4", fill_value=value)
    assert os.listdir() == []
    assert left_in_ram() == []
    old = sh.create(name, 100_001, "i4", fill_value=7)
    before = Path(str(old.filename)).read_bytes()
    with pytest.raises(error):
        sh.create(name, 100_001, "i4", fill_value=value, overwrite=True)
    assert Path(str(old.filename)).read_bytes() == before
    assert np.array_equal(sh.open(name), old)
    home = Path(str(old.filename))
    assert os.listdir(home.parent) == [home.name]
    sh.unlink(name)


def test_a_warning_that_is_an_error_changes_nothing() -> None:
    sh.create("a.npy", 3, "i4", fill_value=7)
    with pytest.raises(RuntimeWarning, match="invalid value"):
        sh.create("a.npy", 3, "i4", fill_value=np.full(3, np.nan), overwrite=True)
    assert np.load("a.npy").tolist() == [7, 7, 7]


class Interrupting:
    """An array-like that is interrupted while it is read."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise KeyboardInterrupt


def test_an_interrupt_changes_nothing() -> None:
    sh.create("a.npy", 3, "i4", fill_value=7)
    with pytest.raises(KeyboardInterrupt):
        sh.create("a.npy", 3, "i4", fill_value=Interrupting(), overwrite=True)
    assert np.load("a.npy").tolist() == [7, 7, 7]
    assert os.listdir() == ["a.npy"]


def test_small_values_fill_large_arrays_without_a_copy_of_them() -> None:
    shape = 4, 512, 4096  # 64 MB
    row = np.arange(4096.0)
    sh.zeros(1)
    tracemalloc.start()
    a = sh.full(shape, row)
    b = sh.create("shm://large", shape, "f8", fill_value=row.tolist(), order="F")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sh.unlink("shm://large")
    assert peak < 4 << 20
    assert (a == row).all()
    assert (b == row).all()


def test_making_and_opening_leave_nothing_to_the_garbage_collector() -> None:
    np.save("theirs.npy", np.arange(3))

    def work() -> None:
        sh.zeros(3, ROWS)
        sh.full((2, 3), [1, 2, 3])
        sh.array([[1, 2], [3, 4]]).T.copy()
        sh.create("ours.npy", 3, ROWS, fill_value=1, overwrite=True)
        sh.open("ours.npy")
        sh.open("theirs.npy")
        header.decode(Path("theirs.npy").read_bytes()[:128], "theirs.npy")

    work()
    gc.collect()
    gc.disable()
    try:
        work()
        assert gc.collect() == 0
    finally:
        gc.enable()
