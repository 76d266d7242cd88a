"""All objects with arrays arrive equal; the oracle is pickle."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import passing_objects as po
import passing_strategies as ps
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passing_objects import assert_same, through_message, through_pickle

import sharray as sh
from sharray.passing.options import Options, State
from sharray.passing.wire.sending import write

LARGE = 1 << 20
# Python 3.12 and later warn of forks in a process with threads.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:the matrix:PendingDeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _forget_messages() -> Iterator[None]:
    yield
    po.forget_messages()


@given(obj=ps.objects(), threshold=st.sampled_from(po.THRESHOLDS), heavy=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_object_arrives_as_by_pickle(obj: Any, threshold: int, heavy: bool) -> None:
    assert_same(through_message(obj, threshold, heavy=heavy), through_pickle(obj))


@given(obj=ps.objects(), threshold=st.sampled_from(po.THRESHOLDS))
@settings(max_examples=50, deadline=None)
def test_any_object_arrives_equal_without_memory(obj: Any, threshold: int) -> None:
    State.warned = True
    assert_same(through_message(obj, threshold, 0), through_pickle(obj))


@given(array=ps.arrays())
@settings(deadline=None)
def test_any_array_arrives_as_it_would_in_the_pipe(array: np.ndarray) -> None:
    in_memory = through_message(array, 0, heavy=True)
    assert_same(in_memory, through_message(array, LARGE))


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("kind", [">i4", ">M8[s]", [("x", ">f8"), ("y", "u1")]])
def test_elements_in_foreign_byte_order_keep_their_values(
    kind: Any, heavy: bool
) -> None:
    array = np.array([1, 2, 3]).astype(kind)
    found = through_message(array, heavy=heavy)
    assert found.tolist() == array.tolist()
    assert found.dtype == array.dtype


def test_what_lies_between_the_fields_of_a_structure_arrives_too() -> None:
    dtype = np.dtype([("x", "u1"), ("y", "f8")], align=True)
    array = np.frombuffer(bytes(range(64)), dtype)
    assert through_pickle(array).tobytes() == array.tobytes()
    through_message(np.full(64, 0xEE, np.uint8))
    assert through_message(array).tobytes() == array.tobytes()


@pytest.mark.parametrize("threshold", po.THRESHOLDS)
@pytest.mark.parametrize("kind", ["f8", "i1", "U3"])
def test_metadata_of_a_dtype_arrive(kind: str, threshold: int) -> None:
    array = np.zeros(3, np.dtype(kind, metadata={"unit": "m"}))
    assert through_pickle(array).dtype.metadata == {"unit": "m"}
    assert through_message(array, threshold).dtype.metadata == {"unit": "m"}


def test_dtypes_of_other_libraries_arrive() -> None:
    ml = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes, dtypes of its own")
    for kind in (ml.bfloat16, ml.float8_e4m3fn, ml.int4):
        array = np.arange(6).astype(kind).reshape(2, 3)
        for obj in (array, array.T, array[:, ::-1], array[0, 1]):
            assert_same(through_message(obj), through_pickle(obj))


def subclasses() -> dict[str, Any]:
    table = np.zeros(5, [("x", "f8"), ("y", "i4")])
    table["x"] = range(5)
    masked = np.ma.array([[1.0, 2, 3]] * 2, mask=[[0, 1, 0]] * 2, fill_value=7)
    hard = np.ma.array(np.arange(9), mask=np.arange(9) > 3, hard_mask=True)
    np.save("m.npy", np.arange(6))
    return {
        "matrix": np.matrix([[1.0, 2], [3, 4]]),
        "transposed matrix": np.matrix([[1.0, 2], [3, 4]]).T,
        "recarray": table.view(np.recarray),
        "recarray of records": np.rec.array(table),
        "array of records": np.asarray(np.rec.array(table)),
        "masked": masked,
        "hard mask": hard,
        "no mask": np.ma.array([1, 2]),
        "masked structure": np.ma.array(table, mask=[(0, 1)] * 5),
        "memmap": np.load("m.npy", mmap_mode="r")[1::2],
        "noted": po.Noted(np.arange(6.0)[::2], {"note": np.arange(3)}),
        "finalized": np.arange(6).view(po.Finalized),
        "finalized view": np.arange(6).view(po.Finalized)[::-2],
        "StringDType": np.array(["a", "b" * 1000, ""], np.dtypes.StringDType()),
        "no string": np.array(["a", None], np.dtypes.StringDType(na_object=None)),
        "objects": np.array([1, None, "x", np.arange(3)], object),
        "objects in fields": np.array([(1, [2])], [("a", "i4"), ("b", "O")]),
        "poly": np.polynomial.Polynomial([1.0, 2]),
        "generator": np.random.default_rng(5),
    }


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("threshold", po.THRESHOLDS)
def test_subclasses_and_holders_of_arrays_arrive_as_by_pickle(
    threshold: int, heavy: bool
) -> None:
    for name, obj in subclasses().items():
        want = through_pickle(obj)
        found = through_message(obj, threshold, heavy=heavy)
        if name == "generator":
            assert found.integers(1 << 60) == want.integers(1 << 60)
        else:
            assert_same(found, want)
            assert_same(through_message([obj, obj], threshold), [want, want])


@pytest.mark.parametrize("threshold", po.THRESHOLDS)
@pytest.mark.parametrize("size", [0, 10, LARGE])
def test_bytes_and_strings_of_any_size_arrive(size: int, threshold: int) -> None:
    obj = [b"x" * size, bytearray(b"y" * size), "z" * size, "\u20ac" * size]
    found = through_message(obj, threshold)
    assert_same(found, obj)
    found[1][:1] = b"2"
    assert obj[1] == b"y" * size


@pytest.mark.parametrize("threshold", po.THRESHOLDS)
def test_numpy_scalars_and_huge_integers_arrive(threshold: int) -> None:
    record = np.zeros(1, [("x", "f8", 100), ("y", "O")])[0]
    obj = [np.float16(1.5), np.longdouble("0.1"), np.str_("x"), np.bytes_(b"x")]
    obj += [np.datetime64("2020-01-01", "D"), np.void(b"1234"), record, 1 << 100_000]
    assert_same(through_message(obj, threshold), through_pickle(obj))


@pytest.mark.parametrize("threshold", po.THRESHOLDS)
def test_one_array_in_two_places_stays_one(threshold: int) -> None:
    array = np.zeros(LARGE // 8)
    found = through_message({"a": array, "b": [array, po.Node(array)]}, threshold)
    assert found["a"] is found["b"][0] is found["b"][1].value


@pytest.mark.parametrize("threshold", po.THRESHOLDS)
def test_views_of_one_array_become_arrays_of_their_own(threshold: int) -> None:
    base = np.zeros(LARGE // 8)
    first, second, third = through_message([base, base[:], base[::-1]], threshold)
    first[:] = 1
    for other in (second, third, base):
        assert not other.any()


@pytest.mark.parametrize("size", [1, 1000, LARGE])
@pytest.mark.parametrize("order", ["C", "F"])
def test_received_arrays_are_writable_and_private(order: Any, size: int) -> None:
    sent = np.zeros((2, size), np.uint8, order)
    sent.flags.writeable = False
    first, second = through_message(sent), through_message(sent)
    assert first.flags.writeable
    assert first.flags.aligned
    first[...] = 1
    assert not second.any()
    assert not sent.any()
    assert first.all()


def test_an_array_lives_on_when_the_rest_of_its_message_is_gone() -> None:
    found = through_message([np.full(LARGE, i, np.uint8) for i in range(4)])
    kept = found[2][10:20]
    del found
    assert po.files_in_use() == 1
    others = [through_message(np.full(4 * LARGE, 9, np.uint8)) for _ in range(3)]
    assert kept.tolist() == [2] * 10
    del others


def test_the_memory_is_free_after_the_last_array() -> None:
    found = through_message([np.zeros(LARGE), np.zeros(LARGE)])
    assert po.files_in_use() == 1
    del found[0]
    assert po.files_in_use() == 1
    del found
    assert po.files_in_use() == 0


def test_small_messages_do_not_keep_the_memory() -> None:
    found = through_message([np.arange(1000.0)])
    assert po.files_in_use() == 0
    through_message([np.zeros(1000)])
    assert found[0].tolist() == list(range(1000))


def test_the_same_memory_is_used_again() -> None:
    sent = np.zeros(LARGE)
    for _ in range(10):
        through_message(sent)
    assert len(po.outbox._outgoing) == 1


@pytest.mark.parametrize("size", [10, 1000, LARGE])
def test_a_kept_array_keeps_its_values_while_messages_go_through(size: int) -> None:
    kept = through_message(np.arange(size))
    for i in range(100):
        assert through_message(np.full(size, -i)).max() == -i
    np.testing.assert_array_equal(kept, np.arange(size))


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_an_object_that_cannot_be_pickled_leaves_nothing_claimed(
    place: str, error: BaseException
) -> None:
    obj = [np.zeros(LARGE), np.zeros(3), b"x" * LARGE]
    obj.insert(["first", "middle", "last"].index(place) * 3 // 2, po.Refuses(error))
    with pytest.raises(type(error)):
        write(obj, Options(0))
    assert po.files_in_use() == 0
    assert_same(through_message([1, np.arange(3)]), [1, np.arange(3)])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_object_that_cannot_be_unpickled_frees_the_memory(
    error: type[BaseException],
) -> None:
    message = write([np.zeros(LARGE), po.Spoils(error), np.zeros(3)], Options(0))
    assert po.files_in_use() == 1
    with pytest.raises(error, match="spoilt"):
        pickle.loads(message.data)
    assert po.files_in_use() == 0


def test_too_deep_an_object_is_refused_as_by_pickle_and_leaves_nothing() -> None:
    obj: Any = np.zeros(LARGE)
    for _ in range(100 * sys.getrecursionlimit()):
        obj = [obj, np.zeros(3)]
    with pytest.raises(RecursionError):
        pickle.dumps(obj)
    with pytest.raises(RecursionError):
        write(obj, Options(0))
    assert po.files_in_use() == 0


@pytest.mark.parametrize("threshold", po.THRESHOLDS)
@pytest.mark.parametrize("holder", [po.Sends, po.Receives])
def test_a_message_may_be_sent_while_another_is_pickled(
    holder: Any, threshold: int
) -> None:
    arrays = [np.full(LARGE // 8, float(i)) for i in range(3)]
    found = through_message([arrays[0], holder(arrays[1]), arrays[2]], threshold)
    assert_same([found[0], found[1].value, found[2]], arrays)


def test_without_memory_all_arrives_equal_with_one_warning() -> None:
    objects = [*subclasses().values(), bytes(LARGE), np.zeros(LARGE), [1, "x"]]
    objects = [obj for obj in objects if not isinstance(obj, np.random.Generator)]
    with sh.installed(threshold=0, budget=0):
        assert State.options is not None
        with pytest.warns(RuntimeWarning, match="no shared memory") as record:
            found = [pickle.loads(write(o, State.options).data) for o in objects]
    assert len(record) == 1
    assert_same(found, [through_pickle(obj) for obj in objects])


@pytest.mark.parametrize("threshold", [0, Options().threshold])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_objects_come_back_equal_from_a_child(method: str, threshold: int) -> None:
    context = multiprocessing.get_context(method)
    large = {"a": np.zeros((300, 300)), "b": po.Node(np.arange(LARGE // 8)[::-1])}
    objects = [o for n, o in subclasses().items() if n != "generator"]
    objects += [large, po.Model(large["a"].T), "x" * LARGE, [(), {}, 1 << 4000]]
    with sh.installed(threshold):
        ours, theirs = context.Pipe()
        child = context.Process(target=po.echo, args=(theirs,))
        child.start()
        theirs.close()
        for obj in objects:
            ours.send(obj)
            found = ours.recv()
            # Through two processes, as those of classes that count in attributes.
            assert_same(found, through_pickle(through_pickle(obj)))
            del found
        ours.send(None)
        child.join(500)
        ours.close()
    assert child.exitcode == 0
    child.close()
