"""Arrays on their way to other processes, by every road there is."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import cloudpickle
import numpy as np
import pytest
import workers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh

METHODS = ["fork", "spawn", "forkserver"]
# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    return multiprocessing.get_context(request.param)


@pytest.fixture(params=["anonymous", "shm://sent", "sent.npy"])
def a(request: pytest.FixtureRequest) -> Any:
    if request.param == "anonymous":
        yield sh.zeros((6, 4))
    else:
        yield sh.create(request.param, (6, 4))
        sh.unlink(request.param)


def test_pool_works_in_place_on_views(a: Any, context: Any) -> None:
    with context.Pool(2) as pool:
        pids = pool.starmap(workers.add, [(a[i], i) for i in range(6)])
        pool.close()
        pool.join()
    assert os.getpid() not in pids
    np.testing.assert_array_equal(a, np.arange(6.0)[:, None] * np.ones(4))


def test_executor_works_in_place_and_sends_views_back(a: Any, context: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(workers.add, a.T[1:, ::-2], 3).result()
        back = pool.submit(workers.send_back, a).result()
    assert a.sum() == 3 * 9
    assert np.shares_memory(back, a)
    assert back.shape == (5, 4)


def test_array_made_by_a_worker_outlives_it(context: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = pool.submit(workers.make, 1000).result()
    assert found.is_shared
    assert found.sum() == 7000


def test_queue_carries_arrays_both_ways(a: Any, context: Any) -> None:
    there, back = context.Queue(), context.Queue()
    worker = context.Process(target=workers.from_queue, args=(there, back))
    worker.start()
    there.put(a)
    found = back.get()
    there.put(None)
    worker.join()
    for queue in (there, back):
        queue.close()
        queue.join_thread()
    assert worker.exitcode == 0
    assert np.shares_memory(found, a)
    assert a.sum() == 24


def test_process_arguments_are_shared(a: Any, context: Any) -> None:
    worker = context.Process(target=workers.add, args=(a[2:], 1.5))
    worker.start()
    worker.join()
    assert a.sum() == 24


JOBLIB = """
import joblib, numpy as np, sharray as sh, workers
a = sh.{made}
with joblib.Parallel(2, backend="{backend}", max_nbytes=1) as parallel:
    parallel(joblib.delayed(workers.add)({sent}, i) for i in range(6))
np.testing.assert_array_equal(a, np.arange(6.0)[:, None] * np.ones(4))
"""


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
@pytest.mark.parametrize("sent", ["a[i]", "np.asarray(a[i])"])
@pytest.mark.parametrize("made", ["zeros((6, 4))", "create('sent.npy', (6, 4))"])
def test_joblib_works_in_place(made: str, sent: str, backend: str) -> None:
    # In a process of its own, since loky's helpers stay until the end.
    code = JOBLIB.format(made=made, sent=sent, backend=backend)
    workers.run_python(code)


def through_pickle(x: Any) -> Any:
    return pickle.loads(pickle.dumps(x))


def through_cloudpickle(x: Any) -> Any:
    return pickle.loads(cloudpickle.dumps(x))


def in_a_child(x: Any) -> Any:
    """Pickle, then unpickle where the array was not mapped before."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(workers.describe, x).result()


@pytest.mark.parametrize("road", [through_pickle, through_cloudpickle])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_view_is_the_same_memory(
    road: Callable[[Any], Any], protocol: int, a: Any
) -> None:
    found = road(a[1::2, ::-1])
    found[0, 0] = 8
    assert a[1, 3] == 8
    assert pickle.loads(pickle.dumps(a, protocol)).shape == (6, 4)


def test_handle_has_less_than_300_bytes() -> None:
    a = sh.zeros((1000, 1000))
    for view in (a, a[5:], a.T[::-1, 3:], a.view("M8[ns]")):
        message = pickle.dumps(view, 5)
        assert len(message) < 300
        pickle.loads(message)  # one that never arrives would be waited for


indices = st.one_of(st.just(Ellipsis), st.none(), st.slices(5), st.integers(-2, 1))


@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=4, min_side=2, max_side=5),
    data=st.data(),
)
def test_any_view_arrives_as_exactly_that_view(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    a = sh.array(np.arange(np.prod(shape)).reshape(shape))
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=6))
    view = a[index].T if data.draw(st.booleans()) else a[index]
    if not isinstance(view, np.ndarray):
        return
    view.flags.writeable = data.draw(st.booleans())
    found = through_pickle(view)
    assert type(found) is sh.SharedArray
    assert (found.shape, found.dtype) == (view.shape, view.dtype)
    assert found.flags.writeable == view.flags.writeable
    np.testing.assert_array_equal(found, view)
    if view.size:
        assert found.strides == view.strides or view.flags.c_contiguous
        assert found.offset == view.offset
        np.asarray(a)[...] += 1
        np.testing.assert_array_equal(found, view)


def test_field_and_other_dtype_arrive_as_such() -> None:
    dtype = np.dtype([("x", "u1"), ("y", "f8", (2,))], align=True)
    a = sh.zeros(4, dtype)
    found = through_pickle(a["y"])
    found[...] = 2
    assert a["y"].tolist() == [[2, 2]] * 4
    assert through_pickle(a).dtype == dtype
    assert through_pickle(sh.zeros(4).view("u1"))[5:].shape == (27,)


def test_broadcast_view_arrives_read_only() -> None:
    a = sh.array([1.0, 2.0])
    found = through_pickle(np.broadcast_to(a, (3, 2), subok=True))
    assert found.tolist() == [[1, 2]] * 3
    assert found.strides == (0, 8)
    assert not found.flags.writeable


def test_read_only_array_arrives_read_only_in_another_process() -> None:
    sh.create("a.npy", 3)
    name, shape, _, writeable, _ = in_a_child(sh.open("a.npy", mode="r"))
    assert (name, shape, writeable) == ("SharedArray", (3,), False)


def test_copy_on_write_array_travels_by_value() -> None:
    sh.create("a.npy", 3)
    private = sh.open("a.npy", mode="c")
    private[0] = 5
    found = through_pickle(private)
    assert type(found) is np.ndarray
    assert found.tolist() == [5, 0, 0]
    assert np.load("a.npy").tolist() == [0, 0, 0]


@pytest.mark.parametrize("private", ["a + 0", "a[[0, 1, 2]]", "a.copy()"])
def test_private_results_travel_by_value(private: str) -> None:
    a = sh.array(np.arange(3))
    found = through_pickle(eval(private))
    assert type(found) is np.ndarray
    assert found.tolist() == [0, 1, 2]
    assert not np.shares_memory(found, a)


def test_memory_that_is_not_the_files_travels_by_value() -> None:
    stranger = np.arange(3).view(sh.SharedArray)
    assert not stranger.is_shared
    assert type(through_pickle(stranger)) is np.ndarray


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_scalar_and_empty_arrays_are_sent(shape: tuple[int, ...]) -> None:
    a = sh.zeros(shape)
    found = through_pickle(a)
    assert found.is_shared
    assert found.shape == shape
    assert in_a_child(a)[:2] == ("SharedArray", shape)


def test_handle_that_arrives_twice_is_mapped_once() -> None:
    a = sh.zeros(3)
    message = pickle.dumps(a)
    first, second = pickle.loads(message), pickle.loads(message)
    assert np.shares_memory(first, second)
    assert first._root is second._root is a._root


def test_copy_of_a_file_is_another_array() -> None:
    import shutil

    a = sh.create("a.npy", 3)
    shutil.copy("a.npy", "b.npy")
    b = sh.open("b.npy")
    b[0] = 1
    assert through_pickle(a)[0] == 0
    assert through_pickle(b)[0] == 1


def test_removed_array_is_named_in_the_error() -> None:
    a = sh.create("a.npy", 3)
    message = pickle.dumps(a)
    sh.unlink("a.npy")
    assert pickle.loads(message).tolist() == [0, 0, 0]  # still mapped here
    del a
    with pytest.raises(sh.ArrayGoneError, match=r"a\.npy"):
        pickle.loads(message)


def test_replaced_array_is_not_mistaken_for_the_old_one() -> None:
    a = sh.create("a.npy", 3)
    message = pickle.dumps(a)
    del a
    sh.create("a.npy", 3, overwrite=True)
    with pytest.raises(sh.ArrayGoneError, match="replaced"):
        pickle.loads(message)


def test_deepcopy_is_private() -> None:
    a = sh.array(np.arange(3))
    found = copy.deepcopy({"a": a})["a"]
    found[0] = 9
    assert a[0] == 0
    assert type(found) is np.ndarray


def test_more_handles_than_the_trailer_has_entries_for() -> None:
    a = sh.array(np.arange(3))
    messages = [pickle.dumps(a) for _ in range(300)]
    path = a._root.segment.path
    del a
    assert os.path.exists(path)
    assert all(pickle.loads(m).tolist() == [0, 1, 2] for m in messages)
    # Some found no entry, so that the file is kept for a while after the last.
    os.unlink(path)


def test_every_handle_keeps_the_array_until_it_arrives() -> None:
    a = sh.array(np.arange(3))
    messages = [pickle.dumps(a) for _ in range(95)]
    path = a._root.segment.path
    del a
    for message in messages:
        assert pickle.loads(message).tolist() == [0, 1, 2]
    assert not os.path.exists(path)


@pytest.mark.parametrize("how", ["unlinked", "replaced"])
def test_array_that_nobody_could_open_is_refused_when_it_is_sent(how: str) -> None:
    a = sh.create("a.npy", 3)
    if how == "unlinked":
        sh.unlink("a.npy")
    else:
        sh.create("a.npy", 3, overwrite=True)
    # Not in the worker: a Pool would wait for ever.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(sh.ArrayGoneError, match="cannot send"):
            pool.apply(workers.add, (a, 1))
        pool.close()
        pool.join()
