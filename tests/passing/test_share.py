"""`sh.share`: an equal object, whose arrays all processes see."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import passing_objects as po
import passing_strategies as ps
import pyarrow as pa
import pytest
from belongings import files_in_ram
from hypothesis import given, settings

import sharray as sh
from sharray.passing.options import Options
from sharray.passing.wire.sending import write

# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:the matrix:PendingDeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _forget_messages() -> Iterator[None]:
    yield
    po.forget_messages()


def model() -> po.Model:
    weights = np.arange(12.0).reshape(3, 4)
    parts = {"bias": [np.ones(3), (np.zeros((2, 2), "i4", "F"),)], "none": None}
    return po.Model(weights, "net", parts)


def test_the_object_is_equal_and_its_arrays_are_shared() -> None:
    original = model()
    shared = sh.share(original)
    assert type(shared) is po.Model
    assert shared.name == "net"
    assert po.kinds_of_arrays(shared) == ["SharedArray"]
    for found, want in zip(po.arrays_in(shared), po.arrays_in(original), strict=True):
        assert po.is_shared(found)
        assert found.flags.writeable
        assert found.flags.f_contiguous == want.flags.f_contiguous
        po.assert_same(np.asarray(found), want)


def test_the_original_stays_as_it_is() -> None:
    original = model()
    shared = sh.share(original)
    po.add_in_place(shared, 1)
    po.assert_same(original, model())
    assert po.kinds_of_arrays(original) == ["ndarray"]


@given(array=ps.arrays())
@settings(max_examples=60, deadline=None)
def test_any_array_is_shared_equal(array: np.ndarray) -> None:
    shared = sh.share([array])[0]
    if array.nbytes:
        assert po.is_shared(shared)
    po.assert_same(np.asarray(shared), po.through_pickle(array))


@given(obj=ps.objects())
@settings(max_examples=60, deadline=None)
def test_sharing_twice_is_as_sharing_once(obj: Any) -> None:
    once = sh.share(obj)
    twice = sh.share(once)
    for a, b in zip(po.arrays_in(once), po.arrays_in(twice), strict=True):
        if not a.dtype.hasobject:
            po.assert_same(np.asarray(b), np.asarray(a))
            assert np.may_share_memory(a, b) or not a.nbytes


def test_all_arrays_lie_in_one_file() -> None:
    shared = sh.share(model())
    assert len({a._root.segment.identity for a in po.arrays_in(shared)}) == 1
    addresses = [a.__array_interface__["data"][0] for a in po.arrays_in(shared)]
    assert all(address % 64 == 0 for address in addresses)
    pickle.loads(pickle.dumps(shared))  # which gives the file its name
    assert len(files_in_ram()) == 1


def test_one_array_in_two_places_stays_one() -> None:
    array = np.zeros(3)
    shared = sh.share([array, {"again": array}])
    assert shared[0] is shared[1]["again"]


def test_a_cycle_is_shared() -> None:
    node = sh.share(po.Node(np.arange(3)))
    assert node.me is node
    assert po.is_shared(node.value)


def test_a_shared_object_pickles_small_and_is_the_same_memory() -> None:
    shared = sh.share({"a": np.zeros((1000, 100)), "b": [np.zeros(10_000, "i2")]})
    message = pickle.dumps(shared)
    assert len(message) < 700
    found = pickle.loads(message)
    found["a"][1:3, 5] = 7
    assert shared["a"].sum() == 14
    assert np.shares_memory(found["b"][0], shared["b"][0])


def test_a_view_of_a_shared_array_is_a_handle_too() -> None:
    shared = sh.share([np.zeros((100, 100))])[0]
    message = pickle.dumps(shared[::2, ::-3].T)
    assert len(message) < 400
    pickle.loads(message)[...] = 1
    assert shared.sum() == 50 * 34


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_see_what_each_other_write(method: str, installed: bool) -> None:
    shared = sh.share(model())
    before = [np.array(a) for a in po.arrays_in(shared)]
    if installed:
        sh.install(threshold=1000)
    with multiprocessing.get_context(method).Pool(2) as pool:
        for amount in (1, 2):
            kinds = pool.apply(po.add_in_place, (shared, amount))
            assert kinds == ["SharedArray"]
            po.add_in_place(shared, 1)
        pool.close()
        pool.join()
    sh.uninstall()
    for found, old in zip(po.arrays_in(shared), before, strict=True):
        np.testing.assert_array_equal(found, old + 5)


def test_workers_have_no_copies_of_their_own() -> None:
    nbytes = 16 << 20
    shared = sh.share({"a": np.ones(nbytes, np.uint8)})
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        found = pool.map(po.private_bytes_of, [shared] * 6, chunksize=1)
        pool.close()
        pool.join()
    assert all(total == nbytes for total, _ in found)
    assert max(private for _, private in found) == 0
    assert len(files_in_ram()) == 1


def test_the_file_ends_with_its_last_array() -> None:
    shared = sh.share({"a": np.zeros(3), "b": np.zeros(3)})
    received = pickle.loads(pickle.dumps(shared))
    kept = received["b"]
    del shared, received
    assert len(files_in_ram()) == 1
    kept[0] = 1
    assert kept.tolist() == [1, 0, 0]
    del kept
    assert files_in_ram() == []


@pytest.mark.parametrize(
    "obj", [None, 5, "text", [], {}, (), b"x" * (1 << 20), {1, 2}, 1 << 4000, [b""]]
)
def test_what_holds_no_array_is_copied(obj: Any) -> None:
    po.assert_same(sh.share(obj), obj)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4, 2)])
@pytest.mark.parametrize("kind", ["f8", "U3", "M8[s]", "V0", [("x", "i4")]])
def test_arrays_without_elements_are_shared(kind: Any, shape: tuple[int, ...]) -> None:
    original = np.zeros(shape, kind)
    shared = sh.share(original)
    po.assert_same(np.asarray(shared), original)


def test_an_array_without_elements_is_a_shared_array_as_well() -> None:
    assert po.kinds_of_arrays(sh.share([np.zeros(0), np.zeros(1)])) == ["SharedArray"]


def test_arrays_of_objects_are_copied_and_those_in_them_shared() -> None:
    inner = np.arange(3)
    original = ps.object_array([inner, None, {"a": inner}])
    shared = sh.share(original)
    assert type(shared) is np.ndarray
    assert shared[0] is shared[2]["a"] is not inner
    assert po.is_shared(shared[0])


@pytest.mark.parametrize("kind", [np.matrix, np.recarray, po.Finalized])
def test_subclasses_stay_what_they_are(kind: Any) -> None:
    table = np.ones((2, 3), [("x", "f8")] if kind is np.recarray else "f8")
    original = table.view(kind)
    shared = sh.share([original])[0]
    po.assert_same(shared, po.through_pickle(original))


def test_what_is_shared_already_stays_the_same_memory() -> None:
    old = sh.zeros(3)
    shared = sh.share({"old": old, "new": np.zeros(3), "view": old[1:]})
    shared["old"][:] = 1
    shared["view"][1] = 2
    assert old.tolist() == [1, 1, 2]
    assert po.is_shared(shared["new"])


def test_a_named_array_stays_the_same_file() -> None:
    named = sh.create("a.npy", 3)
    shared = sh.share([named])
    shared[0][:] = 4
    assert np.load("a.npy").tolist() == [4, 4, 4]


@pytest.mark.parametrize("mutable", [False, True])
def test_arrow_buffers_travel_as_handles_when_installed(mutable: bool) -> None:
    memory = np.arange(100_000)
    buffer = pa.py_buffer(memory if mutable else memory.tobytes())
    assert buffer.is_mutable == mutable
    column = pa.Array.from_buffers(pa.int64(), len(memory), [None, buffer])
    table = pa.table({"a": column, "b": column})
    shared = sh.share(table)
    assert shared.equals(table)
    message = write(shared, Options()).data
    assert len(message) < 1000
    found = pickle.loads(message)
    assert found.equals(table)
    addresses = [
        [b.address for c in t["b"].chunks for b in c.buffers() if b is not None]
        for t in (shared, found)
    ]
    assert addresses[0] == addresses[1]
    assert po.files_in_use() == 0


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_what_cannot_be_pickled_is_named_in_the_error(error: BaseException) -> None:
    with pytest.raises(type(error)):
        sh.share([np.zeros(3), po.Refuses(error)])
    assert files_in_ram() == []


def test_a_function_without_a_name_is_refused_as_by_pickle() -> None:
    function = [np.zeros(3), lambda: 1]
    with pytest.raises((pickle.PicklingError, AttributeError)) as want:
        pickle.dumps(function)
    with pytest.raises(want.type, match="lambda"):
        sh.share(function)


def test_what_cannot_be_unpickled_leaves_nothing() -> None:
    with pytest.raises(ValueError, match="spoilt"):
        sh.share([np.zeros(1 << 20), po.Spoils(ValueError)])
    assert files_in_ram() == []


def test_lack_of_memory_is_said() -> None:
    huge = np.broadcast_to(np.zeros(1), (1 << 50,))  # takes no memory itself
    with pytest.raises(sh.NoSpaceError, match="bytes"):
        sh.share({"huge": huge})
    assert files_in_ram() == []
