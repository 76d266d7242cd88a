"""The effects of `install` and `uninstall` on multiprocessing and its messages."""

from __future__ import annotations

import io
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from multiprocessing import connection, process, queues, reduction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import workers
from passing_objects import has_own_memory
from passing_parcels import SHARED, road_of

import sharray as sh

SMALL = [
    np.arange(10.0),
    np.arange(12).reshape(3, 4).T,
    np.arange(12)[::-2],
    np.array(7),
    np.zeros((0, 3)),
    np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
    np.array(["2024-02-29"], dtype="M8[D]"),
    np.array([{"any": "object"}, None]),
    np.ma.masked_equal([1, 2, 3], 2),
    {"text": "x" * 1000, "bytes": b"y" * 1000, "nested": [(np.ones(3), 4)]},
]


@pytest.fixture(autouse=True)
def _uninstall() -> Iterator[None]:
    sh.uninstall()
    yield
    sh.uninstall()


def by_queue(obj: Any) -> bytes:
    """Return the bytes that a queue sends."""
    return bytes(queues._ForkingPickler.dumps(obj))  # type: ignore[attr-defined]


def by_pipe(obj: Any) -> bytes:
    """Return the bytes that a connection sends."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with receiver, sender:
        sender.send(obj)
        return receiver.recv_bytes()


def to_process(obj: Any) -> bytes:
    """Return the bytes that a new process gets."""
    file = io.BytesIO()
    reduction.dump(obj, file)
    return file.getvalue()


WRITERS = [by_queue, by_pipe, to_process]


@pytest.fixture(params=WRITERS, ids=lambda writer: writer.__name__)
def write(request: pytest.FixtureRequest) -> Callable[[Any], bytes]:
    return request.param  # type: ignore[no-any-return]


def is_shared(nbytes: int) -> bool:
    """Return whether an array of so many bytes goes through shared memory."""
    message = by_queue(np.zeros(nbytes, "u1"))
    array = pickle.loads(message)  # else it would be waited for
    assert array.nbytes == nbytes
    return b"sharray" in message


def hooks() -> tuple[Any, ...]:
    """Return the functions that `install` replaces."""
    return (
        connection.Connection.send,
        queues._ForkingPickler,  # type: ignore[attr-defined]
        reduction.dump,
        process.BaseProcess.join,
    )


ORIGINAL = hooks()
LOAD = """
import pathlib, pickle, sys
sys.modules["sharray"] = None
objects = [pickle.loads(pathlib.Path(f"small{i}").read_bytes()) for i in range(COUNT)]
pathlib.Path("again").write_bytes(pickle.dumps(objects))
"""


def test_small_messages_are_read_by_processes_without_sharray(
    write: Callable[[Any], bytes],
) -> None:
    with sh.installed():
        messages = [write(obj) for obj in SMALL]
    for number, message in enumerate(messages):
        assert b"sharray" not in message
        Path(f"small{number}").write_bytes(message)
    workers.run_python(LOAD.replace("COUNT", str(len(messages))))
    again = pickle.loads(Path("again").read_bytes())
    for found, obj in zip(again, SMALL, strict=True):
        expected = pickle.loads(pickle.dumps(obj))
        assert type(found) is type(expected)
        assert getattr(found, "strides", 0) == getattr(expected, "strides", 0)
        assert repr(found) == repr(expected)
        np.testing.assert_equal(found, expected)


def test_small_arrays_own_their_memory_as_after_pickling(
    write: Callable[[Any], bytes],
) -> None:
    with sh.installed():
        found = pickle.loads(write(np.arange(10.0)))
    assert has_own_memory(found)
    assert found.flags.writeable


def test_threshold_is_the_size_of_the_first_array_that_is_shared(
    write: Callable[[Any], bytes],
) -> None:
    obj = np.zeros(500, "u1")
    for threshold, expected in ((501, False), (500, True), (0, True)):
        sh.install(threshold)
        message = write(obj)
        assert (b"sharray" in message) == expected
        np.testing.assert_equal(pickle.loads(message), obj)


@pytest.mark.parametrize("obj", [b"x" * (200 << 10), "x" * (200 << 10)])
def test_pickles_without_arrays_are_shared_from_128_kib_on(obj: Any) -> None:
    sh.install(1 << 20)
    size = len(by_queue(obj))
    for threshold, expected in ((size + 1, False), (size, True), (0, True)):
        sh.install(threshold)
        message = by_queue(obj)
        assert (b"sharray" in message) == expected
        assert pickle.loads(message) == obj
    assert b"sharray" not in by_queue(obj[: 100 << 10])


def test_arrays_of_a_message_count_together(write: Callable[[Any], bytes]) -> None:
    sh.install(threshold=1000)
    for count, expected in ((1, False), (4, True)):
        message = write([np.full(250, i, "u1") for i in range(count)])
        assert (b"sharray" in message) == expected
        assert [int(x.sum()) // 250 for x in pickle.loads(message)] == [*range(count)]


def test_without_a_threshold_it_is_128_kib() -> None:
    sh.install()
    assert [is_shared(n) for n in (127 << 10, 128 << 10)] == [False, True]


def test_install_again_changes_the_options() -> None:
    for threshold in (1000, 2000, 500):
        sh.install(threshold)
        assert [is_shared(n) for n in (threshold // 2, threshold)] == [False, True]
    sh.install()
    assert not is_shared(2000)


def test_install_again_changes_the_budget() -> None:
    sh.install(budget=0)
    with pytest.warns(RuntimeWarning, match="budget"):
        array = pickle.loads(by_queue(np.arange(1e5)))
    assert road_of(array) != SHARED
    np.testing.assert_array_equal(array, np.arange(1e5))
    sh.install(budget=1 << 20)
    assert road_of(pickle.loads(by_queue(np.arange(1e5)))) == SHARED


@pytest.mark.parametrize("times", [1, 2])
def test_uninstall_restores_the_very_functions(times: int) -> None:
    for _ in range(times):
        sh.install()
    assert all(new is not old for new, old in zip(hooks(), ORIGINAL, strict=True))
    for _ in range(times):
        sh.uninstall()
        assert all(new is old for new, old in zip(hooks(), ORIGINAL, strict=True))


def test_uninstall_leaves_no_trace_in_the_modules() -> None:
    program = """
import sharray as sh
from multiprocessing import connection, process, queues, reduction
places = [connection.Connection, process.BaseProcess, queues, reduction]
before = [dict(vars(place)) for place in places]
sh.install()
sh.uninstall()
for place, names in zip(places, before):
    now = vars(place)
    print([name for name in {*now, *names} if now.get(name) is not names.get(name)])
"""
    assert workers.run_python(program).split() == ["[]"] * 4


def test_importing_sharray_installs_nothing() -> None:
    program = """
from multiprocessing import connection, process, queues, reduction
before = (connection.Connection.send, queues._ForkingPickler, reduction.dump,
          process.BaseProcess.join)
import sharray
sharray.install, sharray.share, sharray.zeros(3)
print(before == (connection.Connection.send, queues._ForkingPickler, reduction.dump,
                 process.BaseProcess.join))
"""
    assert workers.run_python(program) == "True\n"


def test_block_restores_what_was_before_it() -> None:
    with sh.installed():
        assert is_shared(1 << 20)
    assert hooks() == ORIGINAL
    assert not is_shared(1 << 20)


def test_blocks_in_blocks_restore_the_options() -> None:
    with sh.installed(1000):
        assert is_shared(1000)
        with sh.installed(2000):
            assert not is_shared(1000)
            with sh.installed():
                assert not is_shared(2000)
            assert is_shared(2000)
        assert is_shared(1000)
        assert not is_shared(500)
    assert hooks() == ORIGINAL


def test_block_restores_after_an_error_and_after_uninstall() -> None:
    sh.install(1000)
    with pytest.raises(ZeroDivisionError), sh.installed(2000):
        raise ZeroDivisionError
    assert is_shared(1000)
    with sh.installed(2000):
        sh.uninstall()
        assert hooks() == ORIGINAL
    assert is_shared(1000)


@pytest.mark.parametrize("name", ["threshold", "budget"])
@pytest.mark.parametrize(
    ("value", "error", "found"),
    [
        ("1", TypeError, "str"),
        (1.5, TypeError, "float"),
        ([1], TypeError, "list"),
        (-1, ValueError, "-1"),
        (np.int64(-5), ValueError, "-5"),
    ],
)
def test_bad_options_are_refused_and_change_nothing(
    name: str, value: Any, error: type[Exception], found: str
) -> None:
    for enter in (sh.install, lambda **options: sh.installed(**options).__enter__()):
        with pytest.raises(error, match=f"{name} must be a number of bytes.*{found}"):
            enter(**{name: value})
        assert hooks() == ORIGINAL
    sh.install(1000)
    with pytest.raises(error, match=name):
        sh.install(**{name: value})
    assert is_shared(1000)
    assert not is_shared(500)


def test_options_may_be_numbers_of_numpy() -> None:
    sh.install(threshold=np.int32(1000), budget=np.uint64(1 << 20))
    assert [is_shared(n) for n in (500, 1000)] == [False, True]


def test_module_that_stands_for_multiprocessing_installs_and_offers_all_of_it() -> None:
    program = """
import multiprocessing as standard
import multiprocessing.connection, multiprocessing.managers, multiprocessing.pool
import multiprocessing.queues, multiprocessing.shared_memory
before = standard.queues._ForkingPickler
from sharray import multiprocessing
print(standard.queues._ForkingPickler is not before)
special = {"__%s__" % name for name in
           "builtins cached doc file loader name package path spec".split()}
print([name for name in dir(standard) if name not in special
       and getattr(multiprocessing, name) is not getattr(standard, name)])
print(multiprocessing.__all__ == standard.__all__)
names = {}
exec("from sharray.multiprocessing import *", names)
print(set(standard.__all__) - set(names))
try:
    multiprocessing.no_such_name
except AttributeError as error:
    print("no_such_name" in str(error))
"""
    found = workers.run_python(program).split()
    assert found == ["True", "[]", "True", "set()", "True"]


class Subclass(np.ndarray[Any, Any]):
    """A subclass that pickles like ndarray."""


class Other(np.ndarray[Any, Any]):
    """A subclass without a registered reducer."""


def described(array: Any) -> Any:
    """Reduce an array like a user's own reducer."""
    return str, (f"{type(array).__name__} of {array.size}",)


@pytest.fixture(params=[np.ndarray, Subclass])
def registered(request: pytest.FixtureRequest) -> Any:
    kind = request.param
    reduction.ForkingPickler.register(kind, described)
    yield kind
    del reduction.ForkingPickler._extra_reducers[kind]  # type: ignore[attr-defined]


def test_way_to_pickle_that_a_user_registered_is_respected(
    registered: Any, write: Callable[[Any], bytes]
) -> None:
    sh.install(1000)
    message = write({"x": np.zeros(2000).view(registered)})
    assert pickle.loads(message) == {"x": f"{registered.__name__} of 2000"}
    assert b"sharray" not in message
    other = pickle.loads(write(np.zeros(2000).view(Other)))
    assert (type(other), other.shape) == (Other, (2000,))


def test_way_that_is_registered_is_respected_in_real_workers(registered: Any) -> None:
    with sh.installed(1000), multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply(str.upper, (np.zeros(2000).view(registered),))
        pool.close()
        pool.join()
    assert found == f"{registered.__name__} of 2000".upper()
