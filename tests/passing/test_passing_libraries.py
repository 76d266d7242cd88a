"""Objects of pandas, SciPy, xarray and pyarrow arrive equal, and work."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import passing_objects as po
import pyarrow as pa
import pytest
import scipy.sparse as sp
import xarray as xr
from passing_objects import through_message

import sharray as sh

pytestmark = pytest.mark.slow

ROWS = 50_000  # so that a column is more than is copied out of a message


@pytest.fixture(autouse=True)
def _forget_messages() -> Iterator[None]:
    yield
    po.forget_messages()


def frame(rows: int = ROWS) -> pd.DataFrame:
    """Return a frame with a column of each kind."""
    k = np.arange(rows)
    return pd.DataFrame(
        {
            "int": k,
            "float": np.sqrt(k),
            "other float": -np.sqrt(k),
            "bool": k % 2 == 0,
            "text": np.array(["a", "bc"])[k % 2],
            "object": [None, (1, 2)] * (rows // 2),
            "time": pd.Timestamp("2020-01-01", tz="Europe/Berlin")
            + pd.to_timedelta(k, "h"),
            "delta": pd.to_timedelta(k, "s"),
            "category": pd.Categorical.from_codes(k % 3, ["x", "y", "z"]),
            "nullable": pd.array(k, "Int32").copy(),
            "nullable bool": pd.array([True, None] * (rows // 2), "boolean"),
            "arrow text": pd.array(["ab", None] * (rows // 2), "string[pyarrow]"),
            "sparse": pd.arrays.SparseArray(np.where(k % 100, 0.0, 1.0), fill_value=0),
            "period": pd.period_range("2000", periods=rows, freq="h"),
        },
        index=pd.Index(k[::-1], name="row"),
    )


def indexes() -> list[Any]:
    k = range(100)
    return [
        pd.RangeIndex(5),
        pd.Index(np.arange(100.0)),
        pd.Index([f"label {i}" for i in k]),
        pd.MultiIndex.from_product([k, ["a", "b"]], names=["k", "l"]),
        pd.date_range("2020", periods=100, tz="Asia/Tokyo"),
        pd.CategoricalIndex(list("abca")),
        pd.interval_range(0, 100),
        pd.timedelta_range("1h", periods=100),
    ]


def assert_equal_frames(found: pd.DataFrame, want: pd.DataFrame) -> None:
    """Compare frames; pandas' own function does not take a SharedArray for an array."""
    assert type(found) is type(want)
    assert found.dtypes.tolist() == want.dtypes.tolist()
    assert found.index.equals(want.index)
    assert found.index.names == want.index.names
    assert found.columns.equals(want.columns)
    assert found.equals(want)


@pytest.mark.parametrize("threshold", po.THRESHOLDS)
@pytest.mark.parametrize("rows", [0, 4, ROWS])
def test_data_frames_arrive_equal(rows: int, threshold: int) -> None:
    want = frame(rows)
    found = through_message(want, threshold)
    pd.testing.assert_frame_equal(found, want)
    assert_equal_frames(found, want)


@pytest.mark.parametrize("column", frame(2).columns)
def test_series_arrive_equal(column: str) -> None:
    want = frame(1000)[column]
    pd.testing.assert_series_equal(through_message(want), want)
    assert sh.share(want).equals(want)


@pytest.mark.parametrize("want", indexes(), ids=lambda i: type(i).__name__)
def test_indexes_arrive_equal_and_find_their_labels(want: Any) -> None:
    for found in (through_message(want), sh.share(want)):
        assert type(found) is type(want)
        assert found.equals(want)
        assert found.names == want.names
        assert found.get_loc(want[1]) == 1
    series = pd.Series(range(len(want)), index=want)
    pd.testing.assert_series_equal(through_message(series), series)


def test_received_frames_are_fit_for_use_and_private() -> None:
    original = frame()
    first, second = through_message(original), through_message(original)
    pd.testing.assert_frame_equal(
        first.groupby("category", observed=True)[["float", "int"]].sum(),
        original.groupby("category", observed=True)[["float", "int"]].sum(),
    )
    pd.testing.assert_frame_equal(
        first.sort_values("other float"), original.sort_values("other float")
    )
    first.loc[5, "float"] = -1.0
    first.iloc[0, 0] = -7
    first["int"] += 1
    first.loc[first["bool"], "text"] = "even"
    first["new"] = first["nullable"] * 2
    assert first["int"].iloc[0] == -6
    assert first.loc[5, "float"] == -1
    pd.testing.assert_frame_equal(second, original)
    pd.testing.assert_frame_equal(original, frame())


def test_shared_frames_are_fit_for_use() -> None:
    original = frame(1000)
    shared = sh.share(original)
    assert_equal_frames(shared, original)
    sums = shared.groupby("category", observed=True)["float"].sum()
    assert sums.equals(original.groupby("category", observed=True)["float"].sum())
    assert shared.sort_values("float").equals(original.sort_values("float"))
    assert shared["time"].dt.tz is not None
    assert shared.merge(original, on="int").shape == (1000, 27)


def test_processes_see_one_frame() -> None:
    shared = sh.share(pd.DataFrame(np.zeros((1000, 10)), columns=list("abcdefghij")))
    message = pickle.dumps(shared)
    assert len(message) < 1500
    pickle.loads(message)  # one that never arrives would be waited for
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(po.set_first_cell, (shared, 7.0))
        pool.close()
        pool.join()
    assert shared.iloc[0, 0] == 7
    assert shared.to_numpy().sum() == 7


FORMATS = ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"]


def sparse(kind: str, form: str) -> Any:
    dense = np.random.default_rng(0).random((60, 40))
    dense[dense < 0.7] = 0
    return getattr(sp, f"{form}_{kind}")(dense)


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("form", FORMATS)
def test_sparse_matrices_arrive_equal_and_are_fit_for_use(form: str, kind: str) -> None:
    want = sparse(kind, form)
    vector = np.arange(40.0)
    copies = [through_message(want, threshold) for threshold in po.THRESHOLDS]
    for found in (*copies, through_message(want, heavy=True), sh.share(want)):
        assert type(found) is type(want)
        assert found.dtype == want.dtype
        assert (found != want).nnz == 0
        np.testing.assert_array_equal(found @ vector, want @ vector)
        assert (found + want).sum() == (want + want).sum()
        assert (found.tocsr()[3:5] != want.tocsr()[3:5]).nnz == 0
    if form not in ("lil", "dok"):
        copies[0].data[...] = 99
        assert (copies[1] != want).nnz == 0
        assert want.data.max() < 1


@pytest.mark.parametrize("form", ["bsr", "coo", "csc", "csr", "dia"])
def test_the_values_of_shared_sparse_matrices_are_handles(form: str) -> None:
    shared = sh.share(sparse("array", form))
    assert po.is_shared(shared.data)
    found = pickle.loads(pickle.dumps(shared))
    found.data[...] = 1
    assert (shared.data == 1).all()


def data_array(rows: int = 300) -> xr.DataArray:
    return xr.DataArray(
        np.arange(rows * 200.0).reshape(rows, 200),
        dims=("x", "y"),
        coords={"x": np.arange(rows) * 2, "label": ("y", ["a", "b"] * 100)},
        attrs={"units": "m", "table": np.arange(3)},
        name="height",
    )


def dataset() -> xr.Dataset:
    times = pd.date_range("2020", periods=300)
    height = data_array()
    return xr.Dataset(
        {"height": height, "count": ("x", np.arange(300)), "one": 1.5},
        coords={"time": ("x", times)},
        attrs={"title": "a data set"},
    )


@pytest.mark.parametrize("threshold", po.THRESHOLDS)
@pytest.mark.parametrize("make", [data_array, dataset])
def test_xarrays_arrive_identical_and_private(make: Any, threshold: int) -> None:
    want = make()
    found = through_message(want, threshold)
    assert type(found) is type(want)
    assert found.identical(want)
    assert (found + 1).identical(want + 1)
    assert found.sel(x=4).identical(want.sel(x=4))
    assert found.mean("x").identical(want.mean("x"))
    assert found.groupby("label").sum().identical(want.groupby("label").sum())
    found = found if make is data_array else found["height"]
    found[0, 0] = -1
    assert found[0, 0] == -1
    assert want.identical(make())


@pytest.mark.parametrize("make", [data_array, dataset])
def test_shared_xarrays_are_identical_and_one_memory(make: Any) -> None:
    shared = sh.share(make())
    assert shared.identical(make())
    assert (shared * 2).identical(make() * 2)
    found = pickle.loads(pickle.dumps(shared))
    values = [x if make is data_array else x["height"] for x in (shared, found)]
    values[0][0, 0] = 5
    assert values[1][0, 0] == 5


def table() -> pa.Table:
    numbers = pa.array([1, None, 3] * 30_000)
    words = pa.chunked_array([["x"] * 40_000, ["y", None] * 25_000])
    lists = pa.array([[1, 2], None, []] * 30_000)
    coded = pa.array(["p", "q", "p"] * 30_000).dictionary_encode()
    columns = {"n": numbers, "w": words, "l": lists, "d": coded}
    return pa.table(columns).replace_schema_metadata({"made": "here"})


def arrow_objects() -> dict[str, Any]:
    whole = table()
    return {
        "Table": whole,
        "slice": whole.slice(12_345, 1000),
        "RecordBatch": whole.to_batches()[0],
        "ChunkedArray": whole["w"],
        "Array": whole["n"].chunk(0),
        "sliced Array": whole["n"].chunk(0)[5:50_000:1],
        "dictionary": whole["d"].chunk(0),
        "Buffer": pa.py_buffer(b"x" * 300_000),
        "empty": whole.slice(0, 0),
    }


@pytest.mark.parametrize("name", arrow_objects())
def test_arrow_arrives_equal(name: str) -> None:
    want = arrow_objects()[name]
    copies = [through_message(want, threshold) for threshold in po.THRESHOLDS]
    for found in (*copies, sh.share(want)):
        assert type(found) is type(want)
        assert found.equals(want)
        if name == "Buffer":
            assert found.is_mutable == want.is_mutable
            assert found.to_pybytes() == want.to_pybytes()
        else:
            found.validate(full=True)
            assert found.to_pylist() == want.to_pylist()


def test_received_tables_are_fit_for_use() -> None:
    want = table()
    for found in (through_message(want), sh.share(want)):
        assert found.schema.equals(want.schema, check_metadata=True)
        sums = found.group_by("w").aggregate([("n", "sum")]).sort_by("w")
        assert sums.equals(want.group_by("w").aggregate([("n", "sum")]).sort_by("w"))
        assert found.to_pandas().equals(want.to_pandas())


def test_all_arrive_equal_without_memory() -> None:
    with sh.installed(threshold=0, budget=0), pytest.warns(RuntimeWarning):
        found = through_message([frame(), sparse("array", "csr"), dataset()], 0, 0)
    pd.testing.assert_frame_equal(found[0], frame())
    assert (found[1] != sparse("array", "csr")).nnz == 0
    assert found[2].identical(dataset())
    assert through_message(table(), 0, 0).equals(table())


def test_all_come_back_equal_from_a_child() -> None:
    context = multiprocessing.get_context("spawn")
    with sh.installed():
        ours, theirs = context.Pipe()
        child = context.Process(target=po.echo, args=(theirs,))
        child.start()
        theirs.close()
        for obj in (frame(), sparse("matrix", "csc"), dataset(), table()):
            ours.send(obj)
            found = ours.recv()
            assert type(found) is type(obj)
            if isinstance(obj, sp.csc_matrix):
                assert (found != obj).nnz == 0
            else:
                assert found.equals(obj)
            del found
        ours.send(None)
        child.join(500)
        ours.close()
    assert child.exitcode == 0
    child.close()
