"""Who writes pickles into files gets values, as of a `numpy.memmap`."""

from __future__ import annotations

import copy
import io
import pickle
import shelve
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import passing_objects as po
import pytest
import scipy.sparse
import views_sent
import workers
from hypothesis import given, settings

import sharray as sh


def through_joblib(obj: Any) -> Any:
    joblib.dump(obj, "kept.joblib")
    return joblib.load("kept.joblib")


def through_joblib_compressed(obj: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(obj, file, compress=3, protocol=5)
    file.seek(0)
    return joblib.load(file)


def through_pandas(obj: Any) -> Any:
    pd.to_pickle(obj, "kept.pkl")
    return pd.read_pickle("kept.pkl")


def through_shelve(obj: Any) -> Any:
    with shelve.open("kept") as shelf:
        shelf["obj"] = obj
    with shelve.open("kept") as shelf:
        return shelf["obj"]


def through_numpy(obj: Any) -> Any:
    holder = np.empty(1, object)
    holder[0] = obj
    np.save("kept.npy", holder)
    return np.load("kept.npy", allow_pickle=True)[0]


ROADS = [
    through_joblib,
    through_joblib_compressed,
    through_pandas,
    through_shelve,
    through_numpy,
]


def array_in(obj: Any) -> np.ndarray:
    if isinstance(obj, list):
        obj = obj[0]["array"]
    if isinstance(obj, pd.DataFrame):
        obj = obj.to_numpy()
    return getattr(obj, "data", obj) if scipy.sparse.issparse(obj) else obj


@pytest.mark.parametrize("road", ROADS)
def test_any_view_is_kept_as_its_values(road: Callable[[Any], Any]) -> None:
    @given(views_sent.sent_views())
    @settings(max_examples=25, deadline=None, database=None)
    def check(sent: views_sent.Sent) -> None:
        want = views_sent.values_of(sent.obj)
        found = road(sent.obj)
        assert type(array_in(found)) is np.ndarray
        po.assert_same(views_sent.values_of(found), po.through_pickle(want))
        assert not np.shares_memory(array_in(found), sent.view)

    check()


@pytest.mark.parametrize("road", ROADS)
def test_a_shared_object_is_kept_whole(road: Callable[[Any], Any]) -> None:
    frame = pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=["a", "b"])
    array = np.arange(4)
    original = {"frame": frame, "sparse": scipy.sparse.eye(3, format="csr")}
    original |= {"array": array, "again": [array]}
    found = road(sh.share(original))
    pd.testing.assert_frame_equal(found["frame"], frame)
    assert (found["sparse"] != original["sparse"]).nnz == 0
    assert found["array"].tolist() == found["again"][0].tolist() == [0, 1, 2, 3]
    assert not any(po.is_shared(a) for a in po.arrays_in(found))


def test_ndarray_dump_writes_values() -> None:
    a = sh.array(np.arange(3))
    a.dump("kept.pkl")
    assert type(np.load("kept.pkl", allow_pickle=True)) is np.ndarray
    assert type(pickle.loads(a.dumps())) is np.ndarray


def test_joblib_maps_what_it_has_stored() -> None:
    a = sh.create("a.npy", (3, 4), order="F")
    a[...] = np.arange(12).reshape(3, 4)
    joblib.dump({"a": a}, "kept.joblib")
    found = joblib.load("kept.joblib", mmap_mode="r")["a"]
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, a)
    assert found.flags.f_contiguous


@pytest.mark.parametrize("road", [*ROADS, sh.unshare, copy.deepcopy])
def test_a_counter_that_was_kept_is_another_that_all_can_use(road: Any) -> None:
    counter = sh.Counter(5)
    found = road({"counter": counter})["counter"]
    again = pickle.loads(pickle.dumps(found))
    assert (again.add(2), found.value, counter.value) == (5, 7, 5)


def test_joblib_memory_keeps_what_a_function_returned() -> None:
    calls = []

    def shared(n: int) -> Any:
        calls.append(n)
        return sh.array(np.arange(n))

    cached = joblib.Memory("cache", verbose=0).cache(shared)
    cached(3)[0] = 99
    assert cached(3).tolist() == [0, 1, 2]
    assert calls == [3]


def test_joblib_hashes_values() -> None:
    a = sh.array(np.arange(6.0).reshape(2, 3))
    for view in (a, a.T, a[:, ::-1], a[0, 0:0], a[0, 0, ...], a[[1, 0]]):
        assert joblib.hash(view) == joblib.hash(np.asarray(view))
        assert joblib.hash({"a": [view]}) == joblib.hash({"a": [np.asarray(view)]})
    before = joblib.hash(a)
    a[0, 0] = 7
    assert joblib.hash(a) != before


def test_joblib_memory_finds_results_of_shared_and_plain_arguments() -> None:
    calls = []

    def total(x: Any) -> float:
        calls.append(type(x))
        return float(x.sum())

    cached = joblib.Memory("cache", verbose=0).cache(total)
    values = np.arange(5.0)
    assert cached(sh.array(values)) == cached(values) == cached(sh.array(values)) == 10
    assert calls == [sh.SharedArray]


@pytest.mark.parametrize(
    "module",
    ["torch.serialization", "numpy.lib.format", "pickleshare", "dill.session"],
)
def test_modules_that_may_not_be_here_keep_values(module: str) -> None:
    code = "def save(obj, file): pickle.Pickler(file).dump(obj)"
    other = types.ModuleType(module)
    vars(other)["pickle"] = pickle
    exec(code, vars(other))
    file = io.BytesIO()
    other.save([sh.zeros(3)], file)
    assert type(pickle.loads(file.getvalue())[0]) is np.ndarray


def test_python_pickler_of_a_program_sends_a_handle() -> None:
    a = sh.zeros(3)
    file = io.BytesIO()
    pickle._Pickler(file).dump([{"a": a}])  # type: ignore[attr-defined]
    assert np.shares_memory(pickle.loads(file.getvalue())[0]["a"], a)


def test_what_was_kept_outlives_the_process(tmp_path: Path) -> None:
    workers.run_python(
        "import joblib, numpy as np, sharray as sh\n"
        f"joblib.dump(sh.array(np.arange(3)), {str(tmp_path / 'a.joblib')!r})"
    )
    assert joblib.load(tmp_path / "a.joblib").tolist() == [0, 1, 2]
