"""Views of shared arrays in all layouts, and the ways to send them to a worker.

`check` sends views that hypothesis generates. It compares each arrival with the pickle
of a plain array, then changes some views in the worker. It runs in its own process,
because some packages keep helper processes until the end.
"""

from __future__ import annotations

import itertools
import logging
import math
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import passing_objects as po
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh
from sharray.arrays.root import root_below

Array = np.ndarray[Any, Any]
_names = (f"sent-{i}.npy" for i in itertools.count())

DTYPES: list[Any] = ["f8", "f8", "i2", "?", "c16", ">u4", "M8[ns]", "S3", "U2"]
DTYPES += [[("x", "u1"), ("y", "f8", (2,))], np.dtype("i1, f4", align=True)]


# -- views ---------------------------------------------------------------------


def _filled(dtype: Any, shape: tuple[int, ...], seed: int) -> Array:
    dtype = np.dtype(dtype)
    numbers = np.random.default_rng(seed).integers(0, 100, math.prod(shape))
    array = np.zeros(shape, dtype)
    for name in dtype.names or ():
        array[name] = _filled(dtype[name], shape, seed)
    if dtype.names is None and dtype.subdtype is None:
        array[...] = numbers.reshape(shape).astype(dtype)
    return array


def _make(kind: str, values: Array, order: str) -> Any:
    """Return a shared array with these values; with ``c``, as private changes only."""
    if kind == "anonymous":
        a = sh.empty(values.shape, values.dtype, order)
        a[...] = values
        return a
    name = next(_names)
    a = sh.create(name, values.shape, values.dtype, order=order)
    if kind == "c":
        a = sh.open(name, "c")
    a[...] = values
    return sh.open(name, "r") if kind == "r" else a


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "whole": lambda a: a,
    "transposed": lambda a: a.T,
    "backwards": lambda a: a[(..., *(slice(None, None, -1),) * a.ndim)],
    "strided": lambda a: a[(..., *(slice(1, None, 2),) * a.ndim)],
    "repeated": lambda a: np.broadcast_to(a, (3, *a.shape), subok=True),
    "windows": lambda a: (
        np.lib.stride_tricks.sliding_window_view(a, 2, -1, subok=True)
        if a.ndim and a.shape[-1] > 1 and a.dtype.names is None
        else a
    ),
    "last": lambda a: a[-1:] if a.ndim else a,
    "first column": lambda a: a[..., :1] if a.ndim else a,
    "nothing": lambda a: a[..., :0] if a.ndim else a,
    "new axis": lambda a: a[None, ..., None],
    "flat": lambda a: a.reshape(-1),
    "bytes": lambda a: (
        a.view("u1") if a.dtype.kind in "fiu" and a.ndim and a.flags.c_contiguous else a
    ),
    "field": lambda a: a[a.dtype.names[1]] if a.dtype.names else a,
}


def _read_only(a: Any) -> Any:
    a = a[...]
    a.flags.writeable = False
    return a


FORMS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda a: a,
    "plain": np.asarray,
    "plain, read-only": lambda a: _read_only(np.asarray(a)),
    "view of a view": lambda a: np.asarray(a)[...].view(),
    "by a buffer": lambda a: (
        np.asarray(memoryview(a)) if a.dtype.kind in "fiu" and a.ndim else np.asarray(a)
    ),
    "itself, read-only": _read_only,
}


class Sent(NamedTuple):
    """A view, and the array that must arrive."""

    obj: Any
    view: Array
    kind: str
    form: str


def _holder(array: Array, choice: int) -> Any:
    """Return an object that shares the memory of a view."""
    if array.dtype != "f8" or choice == 0:
        return array
    if array.ndim == 2 and choice == 1:
        import pandas as pd

        return pd.DataFrame(array, copy=False)
    if array.ndim == 1 and array.size:
        import scipy.sparse

        n = len(array)
        parts = array, np.arange(n), np.array([0, n])
        return scipy.sparse.csr_matrix(parts, shape=(1, n), copy=False)
    return [{"array": array}]


@st.composite
def sent_views(draw: st.DrawFn) -> Sent:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    values = _filled(draw(st.sampled_from(DTYPES)), shape, draw(st.integers(0, 99)))
    kind = draw(st.sampled_from(["anonymous", "anonymous", "r+", "r", "c"]))
    array = _make(kind, values, draw(st.sampled_from("CF")))
    for name in draw(st.lists(st.sampled_from(list(LAYOUTS)), max_size=2)):
        array = LAYOUTS[name](array)
    form = draw(st.sampled_from(list(FORMS)))
    view = FORMS[form](array)
    obj = view
    if type(view) is np.ndarray:
        obj = _holder(view, draw(st.sampled_from([0, 0, 0, 1, 2])))
    return Sent(obj, view, kind, form)


# -- in the worker -------------------------------------------------------------


def values_of(obj: Any) -> Array:
    if isinstance(obj, list):
        return values_of(obj[0]["array"])
    if not isinstance(obj, np.ndarray):
        obj = obj.toarray() if hasattr(obj, "toarray") else obj.to_numpy()
    return np.array(obj, order="C", subok=False)


def describe(objects: list[Any]) -> list[tuple[Array, str, bool, bool]]:
    """Return values and type of an arrival, and whether it is writable and shared."""
    found = []
    for obj in objects:
        array = np.asarray(obj) if isinstance(obj, np.ndarray) else None
        shared = array is not None and root_below(array) is not None
        writable = array is not None and array.flags.writeable
        found.append((values_of(obj), type(obj).__name__, writable, shared))
    return found


def add_one(array: Any) -> None:
    """Add one to an array in place."""
    array += 1


# -- ways ----------------------------------------------------------------------

Apply = Callable[..., Any]


@contextmanager
def _joblib(backend: str | None, **options: Any) -> Iterator[Apply]:
    import joblib

    with joblib.Parallel(2, backend=backend, **options) as parallel:
        yield lambda f, *args: parallel([joblib.delayed(f)(*args)])[0]


@contextmanager
def _executor(make: Callable[[], Any]) -> Iterator[Apply]:
    with make() as executor:
        yield lambda f, *args: executor.submit(f, *args).result()


def _loky() -> Any:
    import loky

    return loky.ProcessPoolExecutor(1)


def _process_pool(method: str) -> Any:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method))


@contextmanager
def _dask(joblib_on_top: bool) -> Iterator[Apply]:
    from distributed import Client, LocalCluster

    # Any port: without an address, dask takes 8787, which may be another program's.
    address = {"dashboard_address": ":0"}
    # On a busy machine, it warns of workers that take seconds to end.
    options = {"n_workers": 2, "threads_per_worker": 1, "silence_logs": logging.ERROR}
    with (
        LocalCluster(processes=True, **address, **options) as cluster,
        Client(cluster) as client,
    ):
        if joblib_on_top:
            import joblib

            with joblib.parallel_config("dask"), _joblib(None) as apply:
                yield apply
        else:
            yield lambda f, *args: client.submit(f, *args, pure=False).result()


WAYS: dict[str, Callable[[], Any]] = {
    "joblib loky": lambda: _joblib("loky"),
    "joblib loky, files": lambda: _joblib("loky", max_nbytes=1),
    "joblib loky, no files": lambda: _joblib("loky", max_nbytes=None),
    "joblib multiprocessing": lambda: _joblib("multiprocessing"),
    "joblib multiprocessing, files": lambda: _joblib("multiprocessing", max_nbytes=1),
    "joblib threading": lambda: _joblib("threading"),
    "loky": lambda: _executor(_loky),
    "fork": lambda: _executor(lambda: _process_pool("fork")),
    "spawn": lambda: _executor(lambda: _process_pool("spawn")),
    "dask": lambda: _dask(joblib_on_top=False),
    "joblib dask": lambda: _dask(joblib_on_top=True),
}
# Ways in which plain views of shared arrays arrive in place.
IN_PLACE = [way for way in WAYS if way.startswith(("joblib loky", "joblib multi"))]


def check(way: str, examples: int, *, installed: bool) -> None:
    """Send views that hypothesis draws, a message for each example."""
    with sh.installed(threshold=0) if installed else nullcontext(), WAYS[way]() as send:

        @given(st.lists(sent_views(), min_size=1, max_size=6))
        @settings(max_examples=examples, deadline=None, database=None)
        def arrive(views: list[Sent]) -> None:
            answers = send(describe, [view.obj for view in views])
            for view, answer in zip(views, answers, strict=True):
                _compare(view, answer, way)

        arrive()
        if way in IN_PLACE:
            _check_in_place(send)


def _compare(sent: Sent, answer: tuple[Array, str, bool, bool], way: str) -> None:
    values, name, writable, shared = answer
    if way.endswith("dask"):
        values = values.copy()  # dask's results are read-only
    po.assert_same(values, po.through_pickle(values_of(sent.obj)))
    if shared and writable:
        assert sent.view.flags.writeable, "a window to what was read-only"
    if way.endswith("threading") or sent.obj is not sent.view:
        return
    if root_below(sent.view) is None or not sent.view.size:
        return
    if sent.form.startswith("itself"):
        assert name == ("ndarray" if sent.kind == "c" else "SharedArray")
        assert shared == (sent.kind != "c")
    else:
        assert shared == (sent.kind != "c" and way in IN_PLACE)
        if shared:
            assert writable == sent.view.flags.writeable
            assert name == "ndarray"


def _check_in_place(send: Apply) -> None:
    """Change views in the worker, and check the arrays here."""
    for kind, order, layout in itertools.product(
        ("anonymous", "r+"), "CF", ["whole", "transposed", "backwards", "strided"]
    ):
        values = _filled("f8", (5, 4), 1)
        array = _make(kind, values, order)
        send(add_one, LAYOUTS[layout](np.asarray(array)))
        LAYOUTS[layout](values)[...] += 1
        np.testing.assert_array_equal(np.asarray(array), values)
