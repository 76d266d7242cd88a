"""Which NumPy operations stay shared, and which give private arrays."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import sharray as sh

SHARED, PLAIN_VIEW, PRIVATE, SCALAR = "shared", "plain view", "private", "scalar"

OPERATIONS = {
    # Views: the same memory, still a SharedArray, still a handle when pickled.
    "a[1:3]": SHARED,
    "a[::-1, ::2]": SHARED,
    "a[...]": SHARED,
    "a[0]": SHARED,
    "a[None]": SHARED,
    "a.T": SHARED,
    "a.transpose(1, 0)": SHARED,
    "a.swapaxes(0, 1)": SHARED,
    "a.reshape(-1)": SHARED,
    "a.reshape(2, 2, 3)": SHARED,
    "a.ravel()": SHARED,
    "a.squeeze()": SHARED,
    "a.view('i8')": SHARED,
    "a.view()": SHARED,
    "a.diagonal()": SHARED,
    "a.real": SHARED,
    "a.astype('f8', copy=False)": SHARED,
    "np.asanyarray(a)": SHARED,
    "np.broadcast_to(a, (2, 4, 3), subok=True)": SHARED,
    "np.lib.stride_tricks.as_strided(a, (2, 2), (8, 8), subok=True)": SHARED,
    "np.moveaxis(a, 0, 1)": SHARED,
    "np.atleast_3d(a)": SHARED,
    "np.flip(a)": SHARED,
    "np.split(a, 2)[1]": SHARED,
    # Plain views: the same memory, and an ordinary ndarray.
    "np.asarray(a)": PLAIN_VIEW,
    "np.array(a, copy=None)": PLAIN_VIEW,
    "np.from_dlpack(a)": PLAIN_VIEW,
    "np.broadcast_to(a, (2, 4, 3))": PLAIN_VIEW,
    "np.frombuffer(a)": PLAIN_VIEW,
    # Copies.
    "a.copy()": PRIVATE,
    "a.copy('F')": PRIVATE,
    "a.flatten()": PRIVATE,
    "a.astype('f4')": PRIVATE,
    "a.astype('f8')": PRIVATE,
    "a.take([0, 2])": PRIVATE,
    "a.T.ravel()": PRIVATE,
    "a[[0, 2]]": PRIVATE,
    "a[a > 0]": PRIVATE,
    "a.repeat(2)": PRIVATE,
    "copy.copy(a)": PRIVATE,
    "copy.deepcopy(a)": PRIVATE,
    "np.array(a)": PRIVATE,
    "np.array(a, subok=True)": PRIVATE,
    "np.copy(a)": PRIVATE,
    "np.ascontiguousarray(a.T)": PRIVATE,
    # Results of computations.
    "a + 1": PRIVATE,
    "-a": PRIVATE,
    "a == a": PRIVATE,
    "a @ a.T": PRIVATE,
    "np.dot(a, a.T)": PRIVATE,
    "np.sin(a)": PRIVATE,
    "divmod(a, 2)[1]": PRIVATE,
    "a.sum(axis=0)": PRIVATE,
    "a.cumsum()": PRIVATE,
    "a.clip(0, 1)": PRIVATE,
    "a.round()": PRIVATE,
    "a.argsort()": PRIVATE,
    "a.mean(axis=1)": PRIVATE,
    "np.sort(a)": PRIVATE,
    "np.concatenate([a, a])": PRIVATE,
    "np.stack([a, a])": PRIVATE,
    "np.where(a > 0, a, 0)": PRIVATE,
    "np.zeros_like(a)": PRIVATE,
    "np.empty_like(a)": PRIVATE,
    "np.unique(a)": PRIVATE,
    "np.pad(a, 1)": PRIVATE,
    "np.roll(a, 1)": PRIVATE,
    "np.linalg.svd(a)[1]": PRIVATE,
    "np.fft.fft(a)": PRIVATE,
    "np.einsum('ij->i', a)": PRIVATE,
    "np.percentile(a, [5, 50])": PRIVATE,
    # Scalars.
    "a[1, 2]": SCALAR,
    "a.sum()": SCALAR,
    "a.max()": SCALAR,
    "np.median(a)": SCALAR,
    "np.add(a[0, 0], 1)": SCALAR,
    "np.linalg.norm(a)": SCALAR,
    "a[0, 0, ...] + 1": SCALAR,
}


@pytest.mark.parametrize(("operation", "expected"), OPERATIONS.items())
def test_operation_gives_what_the_table_says(operation: str, expected: str) -> None:
    values = np.arange(12.0).reshape(4, 3)
    a = sh.array(values)
    found = eval(operation, {"a": a, "np": np, "copy": copy})
    wanted = eval(operation, {"a": values, "np": np, "copy": copy})
    if "empty" not in operation:
        np.testing.assert_array_equal(np.asarray(found), wanted)
    assert kind_of(found, a) == expected
    assert np.asarray(found).dtype == np.asarray(wanted).dtype
    if expected == SCALAR:
        assert type(found) is type(wanted)
    elif expected != SHARED:
        assert not getattr(found, "is_shared", False)


def kind_of(found: Any, a: sh.SharedArray[Any, Any]) -> str:
    if not isinstance(found, np.ndarray):
        return SCALAR
    if not np.shares_memory(found, a):
        return PRIVATE
    return SHARED if isinstance(found, sh.SharedArray) else PLAIN_VIEW


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_view_shows_a_later_store_and_a_copy_does_not(operation: str) -> None:
    a = sh.array(np.arange(12.0).reshape(4, 3))
    found = eval(operation, {"a": a, "np": np, "copy": copy})
    before = np.array(found)
    np.asarray(a)[...] = -5
    is_view = OPERATIONS[operation] in (SHARED, PLAIN_VIEW)
    assert np.array_equal(np.array(found), before) != is_view


@pytest.mark.parametrize(
    "operation",
    [
        "a.__iadd__(1)",
        "a.__imul__(2)",
        "np.add(a, 1, out=a)",
        "np.sqrt(a, a)",
        "np.cumsum(a, axis=0, out=a)",
        "np.clip(a, 0, 1, out=a)",
    ],
)
def test_operation_in_place_returns_the_shared_array(operation: str) -> None:
    values = np.arange(12.0).reshape(4, 3)
    a = sh.array(values)
    found = eval(operation, {"a": a, "np": np})
    assert found is a
    np.testing.assert_array_equal(a, eval(operation, {"a": values, "np": np}))


@pytest.mark.parametrize("name", ["sort", "fill", "partition", "put", "byteswap"])
def test_method_in_place_works_on_the_shared_memory(name: str) -> None:
    values = np.array([3.0, 1.0, 2.0])
    arguments: dict[str, tuple[Any, ...]] = {
        "fill": (9,),
        "partition": (1,),
        "put": ([0], [7]),
        "byteswap": (True,),
    }
    a = sh.array(values)
    getattr(a, name)(*arguments.get(name, ()))
    getattr(values, name)(*arguments.get(name, ()))
    np.testing.assert_array_equal(a, values)


def test_masked_arrays_and_matrices_can_wrap_a_shared_array() -> None:
    a = sh.array(np.arange(4.0).reshape(2, 2))
    masked = np.ma.masked_less(a, 1, copy=False)
    assert masked.sum() == 6
    assert np.shares_memory(a.view(np.matrix), a)


def test_record_arrays_can_view_a_shared_array() -> None:
    a = sh.zeros(3, [("x", "f4"), ("y", "i4")])
    a.view(np.recarray).x[1] = 5
    assert a["x"].tolist() == [0, 5, 0]


def test_field_of_a_structured_array_stays_shared() -> None:
    a = sh.zeros(3, [("x", "f4"), ("y", "i4", (2,))])
    assert a["y"].is_shared
    assert a[["x", "y"]].is_shared
    assert a[1]["x"] == 0


def test_kernel_gets_the_same_memory_without_the_subclass() -> None:
    numba = pytest.importorskip("numba")
    a = sh.zeros(5)

    @numba.njit
    def fill(x: Any) -> None:
        for i in range(x.shape[0]):
            x[i] = i

    fill(np.asarray(a))
    assert a.tolist() == [0, 1, 2, 3, 4]
