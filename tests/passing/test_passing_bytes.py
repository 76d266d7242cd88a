"""Messages in which nothing is set aside are the bytes that plain pickling gives."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import functools
import io
import multiprocessing
import operator
import pathlib
import pickle
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import joblib.externals.loky.backend.queues
import loky.backend.queues
import multiprocess.connection
import multiprocess.queues
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from passing_objects import Model, Node, Pair, forget_messages, has_own_memory
from passing_strategies import arrays, nested

import sharray as sh

Writer = Callable[[Any], bytes]


def by_queue(obj: Any, package: Any = multiprocessing) -> bytes:
    return bytes(package.queues._ForkingPickler.dumps(obj))


def by_pipe(obj: Any, package: Any = multiprocessing) -> bytes:
    reader, writer = package.Pipe(duplex=False)
    with reader, writer:
        writer.send(obj)
        found: bytes = reader.recv_bytes()
    return found


def to_process(obj: Any, package: Any = multiprocessing) -> bytes:
    file = io.BytesIO()
    package.reduction.dump(obj, file)
    return file.getvalue()


def by_loky(obj: Any, package: str = "loky") -> bytes:
    return bytes(import_module(f"{package}.backend.queues").dumps(obj))


WRITERS: dict[str, Writer] = {
    "queue": by_queue,
    "pipe": by_pipe,
    "process": to_process,
    "queue of multiprocess": functools.partial(by_queue, package=multiprocess),
    "pipe of multiprocess": functools.partial(by_pipe, package=multiprocess),
    "process of multiprocess": functools.partial(to_process, package=multiprocess),
    "loky": by_loky,
    "loky of joblib": functools.partial(by_loky, package="joblib.externals.loky"),
}


@pytest.fixture(params=WRITERS.values(), ids=WRITERS)
def write(request: pytest.FixtureRequest) -> Writer:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _uninstall() -> Iterator[None]:
    sh.uninstall()
    yield
    sh.uninstall()
    forget_messages()


class Colour(enum.Enum):
    RED = 1
    GREEN = "g"


class Protocol:
    """An object that records how it was pickled, and how often."""

    calls = 0

    def __reduce_ex__(self, protocol: Any) -> Any:
        type(self).calls += 1
        return Protocol, (), {"protocol": protocol}


class Sized(bytearray):
    """An object with a buffer, and its own way to pickle without one."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Sized, (bytes(self),), {"protocol": protocol}


class ZeroCopy(bytearray):
    """The example in the documentation of pickle."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        if protocol >= 5:
            return ZeroCopy, (pickle.PickleBuffer(self),), None
        return ZeroCopy, (bytes(self),)


SENTINELS = [
    None,
    (),
    b"",
    bytearray(b"bytes"),
    [bytearray(3), bytes(30_000), "text" * 5_000],
    Colour.RED,
    [Colour.GREEN, Colour],
    datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
    [decimal.Decimal("1.5"), fractions.Fraction(1, 3), 1 << 4000, 1j, ...],
    {"path": pathlib.PurePosixPath("/a"), "set": {1, 2}, "frozen": frozenset("a")},
    collections.OrderedDict(a=collections.deque([1], 3)),
    collections.Counter("abca"),
    array.array("d", [1, 2]),
    ValueError("text", 3),
    [operator.add, np.add, np.sum, len, int, by_queue],
    functools.partial(operator.add, 1),
    range(3),
    slice(1, 2),
    [np.float64(1.5), np.datetime64("2024-02-29"), np.dtype("f8,i2"), np.float32],
    np.array([{"any": "object"}, None]),
    Protocol(),
    Sized(b"sized"),
    [Node(None), Pair(1, 2), Model(3)],
    multiprocess.queues.Empty,
]


@pytest.mark.parametrize("threshold", [0, 1, None])
def test_messages_without_arrays_are_what_pickle_writes(
    threshold: int | None, write: Writer
) -> None:
    for obj in SENTINELS:
        write(obj)  # pickling may give exceptions a __dict__, which they pickle then
    plain = [write(obj) for obj in SENTINELS]
    sh.install(threshold)
    assert [write(obj) for obj in SENTINELS] == plain


same = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=300),
    st.binary(max_size=300),
    st.binary(max_size=300).map(bytearray),
    st.binary(max_size=300).map(lambda b: array.array("B", b)),
    st.dates(),
    st.sampled_from([*Colour, Colour, len, int]),
)
quick = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@quick
@given(obj=nested(same), threshold=st.integers(0, 100))
def test_any_message_without_arrays_is_what_pickle_writes(
    write: Writer, obj: Any, threshold: int
) -> None:
    sh.uninstall()
    # The same object in two places: the memo has to agree as well.
    plain = write([obj, obj])
    sh.install(threshold)
    assert write([obj, obj]) == plain


@quick
@given(obj=nested(arrays() | same))
def test_arrays_below_the_threshold_are_what_pickle_writes(
    write: Writer, obj: Any
) -> None:
    sh.uninstall()
    plain = write([obj, obj])
    # NumPy writes what chance has left between the fields of some views.
    assume(write([obj, obj]) == plain)
    sh.install(100_000)
    assert write([obj, obj]) == plain


@pytest.mark.parametrize(
    "obj", [ZeroCopy(b"zero"), pa.py_buffer(b"x" * 600), pa.array([1, 2, None])]
)
def test_small_buffers_are_what_pickle_writes(obj: Any, write: Writer) -> None:
    plain = write([obj, obj])
    sh.install(10_000)
    assert write([obj, obj]) == plain


def test_each_object_is_reduced_once(write: Writer) -> None:
    sh.install(0)
    Protocol.calls = 0
    pickle.loads(write([Protocol(), np.zeros(4)]))
    assert Protocol.calls == 1


def test_large_buffers_are_set_aside() -> None:
    sh.install(10_000)
    obj = ZeroCopy(bytes(range(256)) * 256)
    message = by_queue([obj, obj, b"more"])
    assert len(message) < 1000
    found = pickle.loads(message)
    assert found == [obj, obj, b"more"]
    assert found[0] is found[1]


@pytest.mark.parametrize("writable", [False, True])
def test_large_buffers_of_arrow_are_as_after_pickling(writable: bool) -> None:
    sh.install(10_000)
    memory = bytes(range(256)) * 2000
    obj = pa.py_buffer(bytearray(memory) if writable else memory)
    message = by_queue(obj)
    assert len(message) < 1000
    found = pickle.loads(message)
    assert found.to_pybytes() == memory
    assert found.is_mutable == writable


@pytest.mark.parametrize("threshold", [0, None])
def test_thousands_of_small_arrays_stay_in_the_pickle(threshold: int | None) -> None:
    sh.install(threshold)
    objects = [np.full(8, i) for i in range(5000)]
    message = by_queue(objects)
    assert len(message) < 2000  # the pickle itself is in shared memory
    found = pickle.loads(message)
    np.testing.assert_equal(found, objects)
    assert all(x.flags.writeable for x in found)
    assert sum(not has_own_memory(x) for x in found) <= 16
    found[100][...] = 7
    np.testing.assert_equal(found[101:], objects[101:])


def test_without_memory_a_large_pickle_is_what_pickle_writes() -> None:
    obj = {"bytes": b"x" * 300_000}
    plain = by_queue(obj)
    sh.install(budget=0)
    with pytest.warns(RuntimeWarning, match="budget"):
        assert by_queue(obj) == plain


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle", "dill"])
@pytest.mark.parametrize(
    "package", [loky, joblib.externals.loky], ids=lambda p: p.__name__
)
def test_loky_may_be_told_to_use_any_pickler(pickler: str, package: Any) -> None:
    queues = package.backend.queues
    package.set_loky_pickler(pickler)
    try:
        obj = [Node(None), np.arange(30.0), len, "text"]
        plain = queues.dumps(obj)
        sh.install()
        assert bytes(queues.dumps(obj)) == bytes(plain)
        sh.install(0)
        message = bytes(queues.dumps(obj))
        assert b"sharray" in message
        np.testing.assert_equal(pickle.loads(message)[1], obj[1])
    finally:
        package.set_loky_pickler("cloudpickle")
