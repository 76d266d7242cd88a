"""Whether an array is shared follows from its memory, whoever made the view."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sharray as sh
from sharray.arrays.root import root_below

Array = Any
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


class Units(np.ndarray):  # type: ignore[type-arg]
    """A subclass as of astropy or pint: it keeps an attribute in its views."""

    unit: str | None

    def __array_finalize__(self, obj: Any) -> None:
        self.unit = getattr(obj, "unit", None)


class Named(sh.SharedArray[Any, Any]):
    """A subclass of somebody else's."""


class Lender:
    """What gives its memory away by the array interface."""

    def __init__(self, array: Array) -> None:
        self.__array_interface__ = array.__array_interface__
        self.array = array


class Lowest(np.ndarray):  # type: ignore[type-arg]
    """A subclass that gives way to all others, as np.memmap does."""

    __array_priority__ = -100.0


def root_of_file(array: Array) -> Array:
    """The bytes of the whole file."""
    while array.base.dtype != "u1" or array.base.ndim != 1:
        array = array.base
    return array.base


def made() -> Array:
    a = sh.create("a.npy", (6, 4), overwrite=True)
    a[...] = np.arange(24.0).reshape(6, 4)
    return a


SHARED: dict[str, Callable[[Array], Array]] = {
    "a plain view": np.asarray,
    "a view of a plain view": lambda a: np.asarray(a)[1:, ::-2].T,
    "another subclass": lambda a: a.view(Units),
    "several subclasses": lambda a: a.view(Units)[1:].view(np.matrix),
    "the data of a masked array": lambda a: np.ma.masked_less(a, 3, copy=False).data,
    "a masked array": lambda a: np.ma.array(a, mask=False),
    "a slice of a masked array": lambda a: np.ma.array(a)[1:, 1:],
    "a record array": lambda a: a.view([("x", "f8")]).view(np.recarray),
    "a memoryview": lambda a: np.asarray(memoryview(a)),
    "a slice of a memoryview": lambda a: np.asarray(memoryview(a)[2:]),
    "a memoryview of a memoryview": lambda a: np.asarray(memoryview(memoryview(a))),
    "bytes of a memoryview": lambda a: np.asarray(memoryview(a).cast("B")),
    "frombuffer": np.frombuffer,
    "frombuffer with an offset": lambda a: np.frombuffer(a, "f4", 5, 8),
    "frombuffer of a PickleBuffer": lambda a: np.frombuffer(pickle.PickleBuffer(a)),
    "ctypes": lambda a: np.ctypeslib.as_array(np.ctypeslib.as_ctypes(np.asarray(a))),
    "a ctypes pointer": lambda a: np.ctypeslib.as_array(
        a.ctypes.data_as(np.ctypeslib.ctypes.POINTER(np.ctypeslib.ctypes.c_double)),
        (3,),
    ),
    "the array interface": lambda a: np.asarray(Lender(a)),
    "DLPack": np.from_dlpack,
    "as_strided": lambda a: np.lib.stride_tricks.as_strided(a, (3, 3), (8, 32)),
    "as_strided, subok": lambda a: np.lib.stride_tricks.as_strided(
        a, (3, 3), (8, 32), subok=True
    ),
    "sliding windows": lambda a: np.lib.stride_tricks.sliding_window_view(a, (2, 2)),
    "broadcast_to": lambda a: np.broadcast_to(a, (2, 6, 4)),
    "real": lambda a: a.view("c16").real,
    "imag": lambda a: a.view("c16").imag,
    "an operand of nditer": lambda a: np.nditer(a).operands[0],
    "a chunk of nditer": lambda a: next(
        np.nditer(a, flags=["external_loop"])  # type: ignore[call-overload]
    ),
    "base of flat": lambda a: a.flat.base,
    "a slice of the root": lambda a: root_of_file(a)[a.offset :][:64].view("f8"),
    "no elements": lambda a: a[3:3],
    "one element": lambda a: a[2, 3, ...],
    "an object array's element": lambda a: np.array([a, None], object)[0],
}


@pytest.mark.parametrize("how", SHARED)
def test_a_view_is_shared_through_whatever_it_was_made(how: str) -> None:
    a = made()
    view = SHARED[how](a)
    assert np.may_share_memory(view, a) or view.size == 0
    shared = view.view(sh.SharedArray)
    assert shared.is_shared
    assert shared.durable
    assert (shared.mode, shared.filename) == ("r+", os.path.abspath("a.npy"))
    shared.flush()
    for protocol in PROTOCOLS:
        found = pickle.loads(pickle.dumps(shared, protocol))
        assert type(found) is sh.SharedArray
        assert np.shares_memory(found, a) == bool(view.size)
        assert found.flags.writeable == view.flags.writeable
        assert (found.strides == shared.strides) or view.size == 0
        np.testing.assert_array_equal(np.asarray(found), np.asarray(view))


PRIVATE: dict[str, Callable[[Array], Array]] = {
    "a list": lambda a: a[[1, 2]],
    "an empty list": lambda a: a[[]],
    "a mask": lambda a: a[a > 3],
    "lists of both axes": lambda a: a[np.ix_([0, 1], [2, 3])],
    "a list of fields": lambda a: a.view([("x", "f8"), ("y", "f8")])[["x"]].copy(),
    "a slice of a selection": lambda a: a[[1, 2]][1:],
    "compress": lambda a: a.compress([True, False, True], axis=0),
    "repeat": lambda a: a.repeat(2),
    "ravel that copies": lambda a: a.ravel("F"),
    "reshape that copies": lambda a: a.T.reshape(-1),
    "byteswap": lambda a: a.byteswap(),
    "flat": lambda a: a.flat[1:],
    "dot": lambda a: a.dot(a.T),
    "empty_like": lambda a: np.empty_like(a),
    "imaginary part of reals": lambda a: a.imag,
    "a masked result": lambda a: (np.ma.array(a) + 1).data,
    "a masked selection": lambda a: np.ma.array(a)[[1, 2]].data,
    "a subclass's result": lambda a: a.view(Units) + 1,
    "bytes": lambda a: np.frombuffer(bytes(a)),
    "an ndarray's own memory": lambda a: np.ones(3),
    "no elements of something else": lambda a: np.frombuffer(b"", "f8"),
}


@pytest.mark.parametrize("how", PRIVATE)
def test_private_memory_is_private_and_holds_nothing_of_the_file(how: str) -> None:
    a = made()
    expected = np.array(PRIVATE[how](np.array(a)))
    found = PRIVATE[how](a)
    root = weakref.ref(a._root)
    copied = found.view(sh.SharedArray)
    assert not copied.is_shared
    assert not copied.durable
    assert (copied.mode, copied.filename, copied.offset) == (None, None, None)
    assert repr(copied) == repr(np.asarray(found))
    with pytest.raises(sh.NotSharedError, match="slice of the shared array"):
        copied.flush()
    values = pickle.loads(pickle.dumps(copied))
    assert type(values) is np.ndarray
    del a
    gc.collect()
    if how != "reshape that copies":  # of which the base is a transposed copy, shared
        assert root() is None
    if how != "empty_like":
        np.testing.assert_array_equal(np.asarray(found), expected)
        np.testing.assert_array_equal(values, expected)


def test_a_thousand_small_selections_hold_no_descriptors() -> None:
    before = len(os.listdir("/proc/self/fd"))
    kept = []
    for number in range(300):
        a = made()
        a[0, 0] = number
        kept += [a[[0, 1]], a[a > 3], a[:, [0]], a.repeat(2)]
    del a
    assert len(os.listdir("/proc/self/fd")) == before
    assert [int(x[0, 0]) for x in kept[::4]] == list(range(300))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(SHARED)), min_size=1, max_size=5))
def test_a_chain_of_views_finds_its_root(chain: list[str]) -> None:
    a = sh.zeros((6, 4))
    view: Array = a
    for how in chain:
        if how in ("a slice of the root", "bytes of a memoryview"):
            continue
        is_like_a = view.dtype == "f8" and view.shape == (6, 4)
        # With NumPy 2.0, what comes through DLPack is read-only, and some refuse that.
        if is_like_a and view.flags.c_contiguous and view.flags.writeable:
            view = SHARED[how](view)
        else:
            view = view[...].view(Units)
        if isinstance(view, np.ma.MaskedArray):
            view = view.data  # these cannot be seen through some of the others
    assert root_below(view) is a._root
    assert root_below(view.copy()) is None


@pytest.mark.parametrize("mode", ["r", "c"])
def test_views_of_other_modes_tell_them(mode: str) -> None:
    made()
    a = sh.open("a.npy", mode=mode)
    view = np.ma.array(a, copy=False).data
    assert (view.is_shared, view.mode) == (True, mode)
    view.flush()
    assert type(pickle.loads(pickle.dumps(view))) is (
        sh.SharedArray if mode == "r" else np.ndarray
    )


# -- other classes ------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    ["a + b", "b + a", "np.add(a, b)", "np.multiply(b, a)", "a * b", "b / (b + a + 1)"],
)
@pytest.mark.parametrize("kind", [Units, np.ma.MaskedArray, np.matrix, np.recarray])
def test_the_other_class_decides_what_a_result_is(kind: Any, operation: str) -> None:
    plain = np.arange(4.0).reshape(2, 2)
    a, b = sh.array(plain), plain.view(kind)
    found = eval(operation, {"a": a, "b": b, "np": np})
    wanted = eval(operation, {"a": plain.view(Lowest), "b": b, "np": np})
    assert type(found) is type(wanted)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


def test_a_subclass_with_an_attribute_takes_a_shared_array() -> None:
    a = sh.array([1.0, 2.0])
    quantity = a.view(Units)
    quantity.unit = "m"
    assert (quantity[1:] + a[1:]).unit == "m"
    quantity[0] = 5
    assert a.tolist() == [5, 2]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_masked_arrays_travel_by_value(protocol: int) -> None:
    a = made()
    masked = np.ma.masked_less(a, 3, copy=False)
    found = pickle.loads(pickle.dumps(masked, protocol))
    a[...] = -1
    assert (
        found.tolist() == np.ma.masked_less(np.arange(24.0).reshape(6, 4), 3).tolist()
    )
    assert not found.data.is_shared
    assert copy.deepcopy(masked).tolist() == masked.tolist()
    assert (masked + 1).sum() == masked.sum() + masked.count()


# -- attributes ----------------------------------------------------------------------


def test_attributes_belong_to_the_object_that_they_were_set_on() -> None:
    a = sh.zeros(3)
    a.units = "m"
    assert a.units == "m"
    others = [a[1:], a.T.view(), a.copy(), copy.copy(a), copy.deepcopy(a), a + 1]
    others += [pickle.loads(pickle.dumps(a)), np.asanyarray(a)[:]]
    assert not any(hasattr(other, "units") for other in others)


def test_an_attribute_in_a_cycle_keeps_the_memory_until_it_is_collected() -> None:
    a = sh.zeros(3)
    root = weakref.ref(a._root)  # type: ignore[arg-type]
    a.itself = a
    del a
    gc.collect()
    assert root() is None


# -- subclasses of ours ---------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_subclass_arrives_as_it_is(protocol: int) -> None:
    a = sh.array(np.arange(6.0).reshape(2, 3)).view(Named)
    assert type(a[1:]) is Named
    assert a[1:].is_shared
    found = pickle.loads(pickle.dumps(a[:, ::2], protocol))
    assert type(found) is Named
    assert np.shares_memory(found, a)
    private = pickle.loads(pickle.dumps(a[[1]], protocol))
    assert type(private) is Named
    assert not private.is_shared
    assert private.tolist() == [[3, 4, 5]]


def test_a_handle_gives_no_other_class() -> None:
    a = sh.array([1.0]).view(Named)
    function, (kind, *parts) = a.__reduce_ex__(5)
    assert kind is Named
    for wrong in (np.ndarray, np.matrix, int, "Named", None):
        with pytest.raises(sh.HandleError, match="subclass of SharedArray"):
            function(wrong, *parts)
    assert function(sh.SharedArray, *parts).tolist() == [1]
