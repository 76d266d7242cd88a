"""Growable arrays: appended rows are right, or refused."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import disks
import numpy as np
import pytest
from hostile import refused
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from workers import run_python

import sharray as sh
from sharray.storage import control_page, growing, location, segment
from sharray.system import file_identity

_POINT = np.dtype([("when", "M8[s]"), ("where", "<f4", (2,)), ("name", "S3")])
_DTYPES = ["u1", "<i4", ">i2", "f2", "f8", "c16", "?", "U2", "M8[s]", _POINT]


def identity(path: str) -> bytes:
    with open(path, "rb") as file:
        found = file_identity.identity_of(file.fileno(), os.fstat(file.fileno()))
    assert found is not None
    return found


def page_path(path: str) -> Path:
    return Path(location.control_directory()) / identity(path).hex()


def in_a_child(act: Callable[[], Any]) -> Any:
    """Return what a function returns in a forked child; its exception is a failure."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, pickle.dumps(act()))
        except BaseException as error:
            os.write(writing, pickle.dumps(repr(error)))
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        answer = file.read()
    os.waitpid(child, 0)
    return pickle.loads(answer)


def killed(code: str) -> None:
    """Run a program that ends by SIGKILL."""

    def act() -> None:
        exec(code, {"sh": sh, "np": np})
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


# -- the oracle ------------------------------------------------------------------------


def filled(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    count = int(np.prod(shape))
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype("?")
    if dtype.names or dtype.kind in "UM":
        values = np.zeros(count, dtype)
        numbers = random.integers(0, 99, count)
        if dtype.names:
            values["when"], values["name"] = numbers.astype("M8[s]"), b"abc"
            values["where"] = numbers[:, None]
        else:
            values[...] = numbers.astype("M8[s]" if dtype.kind == "M" else "U2")
        return values.reshape(shape)
    return random.integers(0, 100, shape).astype(dtype)


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    dtype=st.sampled_from(_DTYPES),
    order=st.sampled_from("CF"),
    row=st.lists(st.integers(1, 3), max_size=3),
    counts=st.lists(st.integers(-1, 4), max_size=6),
    first=st.integers(0, 3),
)
def test_appends_are_concatenations(
    dtype: Any, order: str, row: list[int], counts: list[int], first: int
) -> None:
    dtype = np.dtype(dtype)
    axis = len(row) if order == "F" else 0

    def rows_of(count: int, seed: int) -> np.ndarray:
        return filled((*row[:axis], count, *row[axis:]), dtype, seed)

    expected = rows_of(first, 0)
    a = sh.create(
            "a.npy", expected.shape, dtype, order=order, fill_value=expected,
            growable=True, overwrite=True,
        )  # fmt: skip
    for seed, count in enumerate(counts, 1):
        rows = rows_of(abs(count), seed)
        index = a.append(rows.take(0, axis) if count == -1 else rows)
        assert index == expected.shape[axis]
        expected = np.concatenate([expected, rows], axis).astype(dtype)
    assert np.array_equal(a.latest(), expected)
    a.flush()
    assert np.array_equal(np.load("a.npy"), expected)
    np.save("b.npy", np.asarray(expected, order=order))
    ours, theirs = Path("a.npy").read_bytes(), Path("b.npy").read_bytes()
    # NumPy calls an array that is in both orders one in C order.
    if (b"True" in theirs[:300]) == (b"True" in ours[:300]):
        start, other = len(ours) - expected.nbytes, len(theirs) - expected.nbytes
        assert ours[start:] == theirs[other:]
        heads = [ours[10:start], theirs[10:other]]
        assert heads[0].replace(b" ", b"") == heads[1].replace(b" ", b"")


def test_rows_of_the_array_itself_are_appended() -> None:
    a = sh.create("a.npy", (3, 700), "i8", fill_value=5, growable=True)
    a.append(a)
    a.append(a.latest()[::-1])
    assert a.latest().shape == (12, 700)
    assert (a.latest() == 5).all()


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([1.5], TypeError),
        ([300], (TypeError, OverflowError)),
        (np.array([300]), TypeError),
        ([np.int64(300)], (TypeError, OverflowError)),
        (np.ma.masked_array([1], [True]), TypeError),
        (np.zeros((2, 2), "u1"), sh.ShapeError),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: Any, kind: Any) -> None:
    a = sh.create("a.npy", 0, "u1", growable=True)
    if isinstance(rows, np.ndarray) and rows.dtype == "i8" and kind is TypeError:
        rows = rows.astype("f8")
    with pytest.raises(kind):
        a.append(rows)
    assert len(a.latest()) == 0


def test_a_block_that_raises_appends_nothing() -> None:
    a = sh.create("a.npy", (0, 2), growable=True)
    with pytest.raises(ZeroDivisionError), a.appending(3) as rows:
        rows[0] = 1 / 0
    assert len(a.latest()) == 0


# -- views and handles -----------------------------------------------------------------


def test_private_changes_do_not_hide_new_rows() -> None:
    a = sh.create("a.npy", (3, 4), "i8", fill_value=1, growable=True)
    private = sh.open("a.npy", "c")
    private[0, 0] = 9
    a.append(np.full((5000, 4), 7))
    assert (private.latest()[3:] == 7).all()
    assert private.latest()[0, 0] == 9
    assert a[0, 0] == 1


def test_a_handle_of_new_rows_opens_where_the_old_are_mapped() -> None:
    a = sh.create("a.npy", 2, "i8", fill_value=1, growable=True)
    other = sh.open("a.npy")
    a.append([5, 6])
    handle = pickle.dumps(a.latest()[1:])
    assert in_a_child(lambda: pickle.loads(handle).tolist()) == [1, 5, 6]
    assert len(other) == 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_gets_views_of_old_and_new_rows(method: str) -> None:
    a = sh.create("a.npy", 2, "i8", fill_value=1, growable=True)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(np.sum, (a,)) == 2
        a.append([5, 6])
        assert pool.map(np.sum, [a, a.latest(), a.latest()[2:]]) == [2, 13, 11]
        pool.close()
        pool.join()


def test_latest_never_shrinks_when_two_threads_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([1, 2, 3])
    a.latest()
    found = a._root.segment
    found._show(found.growth, 2)  # of a thread that looked before
    assert found.header.rows == 3


def test_appends_of_threads_are_whole() -> None:
    a = sh.create("a.npy", (0, 3), "i8", growable=True)

    def work(number: int) -> None:
        for _ in range(200):
            a.append([[number] * 3] * 2)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = np.asarray(a.latest()).reshape(800, 6)
    assert (rows == rows[:, :1]).all()
    assert np.bincount(rows[:, 0]).tolist() == [200] * 4


def test_threads_that_begin_to_append_at_once_share_one_open_file() -> None:
    before = set(os.listdir("/proc/self/fd"))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(50):
            a = sh.create(f"{number}.npy", 0, "i8", growable=True)
            barrier = threading.Barrier(4)

            def work(a: Any = a, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                a.append(1)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert a.latest().tolist() == [1] * 4
            del a, work
    finally:
        sys.setswitchinterval(interval)
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) == before


def test_two_arrays_of_one_file_append_in_turn() -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    b = sh.open("a.npy")
    assert [x.append([n]) for n, x in enumerate([a, b, a, b, b])] == [0, 1, 2, 3, 4]
    assert a.latest().tolist() == b.latest().tolist() == [0, 1, 2, 3, 4]


def test_children_of_a_fork_do_not_share_the_lock() -> None:
    """Fork while another thread appends: child and parent exclude each other."""
    a = sh.create("a.npy", (0, 512), "i8", growable=True)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            a.append(np.full((8, 512), 1))

    def child() -> list[int]:
        return [a.append(np.full((8, 512), 2)) for _ in range(20)]

    thread = threading.Thread(target=work)
    thread.start()
    firsts = [first for _ in range(10) for first in in_a_child(child)]
    stop.set()
    thread.join()
    rows = np.asarray(a.latest())
    assert (rows == rows[:, :1]).all()
    assert len(set(firsts)) == 200
    assert all((rows[first : first + 8] == 2).all() for first in firsts)
    assert (rows == 2).all(1).sum() == 1600


def test_a_signal_handler_cannot_append_within_an_append(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([0])
    pwrite, refusals = os.pwrite, []

    def interrupted(fd: int, data: Any, offset: int) -> int:
        monkeypatch.setattr(os, "pwrite", pwrite)
        refusals.append(refused(sh.BusyError, lambda: a.append([2]), "within"))
        refused(sh.BusyError, a.flush, "within")
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", interrupted)
    assert a.append([1]) == 1
    assert a.append([3]) == 2
    assert len(refusals) == 1
    assert a.latest().tolist() == [0, 1, 3]


# -- ends ------------------------------------------------------------------------------


@pytest.mark.parametrize("rename", [False, True])
def test_the_last_holder_enters_all_rows(rename: bool) -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([1, 2, 3])
    if rename:
        os.rename("a.npy", "b.npy")
    del a
    name = "b.npy" if rename else "a.npy"
    assert np.load(name).tolist() == [1, 2, 3]
    assert not page_path(name).exists()


@pytest.mark.parametrize("rename", [False, True])
def test_gc_enters_the_rows_of_the_killed(rename: bool) -> None:
    killed("sh.create('a.npy', 0, 'i8', growable=True).append([1, 2, 3])")
    if rename:
        os.rename("a.npy", "b.npy")
    sh.gc()
    name = "b.npy" if rename else "a.npy"
    assert np.load(name).tolist() == [1, 2, 3]
    assert not page_path(name).exists()


def test_a_process_enters_all_rows_at_its_end() -> None:
    run_python(
        "import sharray as sh; a = sh.create('a.npy', 0, 'i8', growable=True);"
        "a.append([1, 2, 3])"
    )
    assert np.load("a.npy").tolist() == [1, 2, 3]
    assert not page_path("a.npy").exists()


def test_rows_are_entered_beside_a_reader() -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    reader = sh.open("a.npy", "r")
    a.append([1, 2, 3])
    del a
    assert np.load("a.npy").tolist() == [1, 2, 3]
    assert reader.latest().tolist() == [1, 2, 3]


def test_rows_of_the_killed_are_not_those_of_a_file_rewritten_since() -> None:
    killed("sh.create('a.npy', 0, 'i8', growable=True).append([1, 2, 3])")
    np.save("a.npy", np.arange(10))
    a = sh.open("a.npy", growable=True)
    assert a.append([10]) == 10
    assert a.latest().tolist() == list(range(11))


def test_settling_leaves_a_file_alone_that_was_rewritten() -> None:
    killed("""
a = sh.create("a.npy", 0, "i8", growable=True)
a.append([1, 2, 3])
a._root.segment.growth.page.words[35] = 10**6  # pending, as in an append
""")
    np.save("a.npy", np.arange(10))
    sh.gc()
    assert np.load("a.npy").tolist() == list(range(10))


def test_a_truncated_file_is_refused() -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([1, 2, 3])
    os.truncate("a.npy", os.path.getsize("a.npy") - 1)
    refused(sh.StorageError, a.latest, "truncated")
    refused(sh.StorageError, lambda: a.append([4]), "truncated")
    refused(sh.StorageError, a.flush, "truncated")


def test_bytes_of_another_program_are_refused() -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([1])
    with open("a.npy", "ab") as file:
        file.write(b"other")
    refused(sh.StorageError, lambda: a.append([2]), "another program")
    assert Path("a.npy").read_bytes().endswith(b"other")


def test_bytes_of_another_program_are_refused_after_an_append_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fill_up(fd: int, data: Any, offset: int) -> int:
        raise OSError(errno.ENOSPC, "made up")

    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([1])
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fill_up)
        refused(sh.NoSpaceError, lambda: a.append([2, 3]), "append")
    with open("a.npy", "ab") as file:
        file.write(b"other")
    refused(sh.StorageError, lambda: a.append([2]), "another program")
    assert Path("a.npy").read_bytes().endswith(b"other")


def test_another_container_is_refused(tmp_path: Path) -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([1])
    code = "import sharray as sh; a = sh.open('a.npy'); "
    with pytest.MonkeyPatch.context() as patch:
        other = tmp_path / "ram"
        other.mkdir()
        patch.setenv("SHARRAY_RAM_DIR", str(other))
        said = run_python(f"""{code}
try:
    a.append([2])
except sh.BusyError as error:
    print(error)
""")
    assert "another container" in said
    assert a.append([2]) == 1


def test_a_page_that_was_removed_keeps_others_out() -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([1])
    page_path("a.npy").unlink()
    other = sh.open("a.npy")
    refused(sh.BusyError, lambda: other.append([2]), "another")
    assert a.append([2]) == 1
    a.flush()
    assert np.load("a.npy").tolist() == [1, 2]


def test_a_strange_page_hangs_nobody() -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    location.make_ram_directories(location.control_directory())
    page_path("a.npy").write_bytes(b"")
    assert a.append([1]) == 0


# -- room ------------------------------------------------------------------------------


def test_no_room_for_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(identity: bytes, path: str) -> Any:
        raise OSError(errno.ENOSPC, "made up")

    a = sh.create("a.npy", 0, "i8", growable=True)
    with monkeypatch.context() as patch:
        patch.setattr(control_page, "_make_new", full)
        refused(sh.NoSpaceError, lambda: a.append([1]), "control page")
    assert a.append([1]) == 0


def test_a_limit_of_file_sizes() -> None:
    a = sh.create("a.npy", (0, 1024), "i8", growable=True)
    a.append(np.ones((2, 1024), "i8"))

    def child() -> str:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))
        refused(sh.NoSpaceError, lambda: a.append(np.ones((5, 1024), "i8")), "ulimit")
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        return str(a.append(np.full(1024, 2)))

    assert in_a_child(child) == "2"
    assert a.latest()[:, 5].tolist() == [1, 1, 2]


@disks.needs_disks
def test_a_full_disk_keeps_all_rows(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "small", "2m") as small:
        a = sh.create(small / "a.npy", (0, 1000), "i8", growable=True)
        count = 0
        with suppress(sh.NoSpaceError):
            while True:
                a.append(np.full((7, 1000), count // 7))
                count += 7
        assert count > 200
        assert (small / "a.npy").stat().st_size == 128 + count * 8000
        expected = np.arange(count) // 7
        assert (a.latest() == expected[:, None]).all()
        disks.run("mount", "-o", "remount,size=4m", str(small))
        assert a.append(np.full((7, 1000), 1)) == count
        a.flush()
        assert np.array_equal(np.load(small / "a.npy")[:count, 3], expected)
        del a
        gc.collect()


def test_more_rows_than_addresses_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "_ROOM", 4096)
    a = sh.create("a.npy", (0, 512), "i8", growable=True)
    a.append(np.ones((3, 512), "i8"))
    refused(sh.StorageError, a.latest, "open it again")
    assert sh.open("a.npy").latest().sum() == 3 * 512


# -- headers ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["3, {:>16}", "{:>16}, 0"])
def test_a_field_that_is_not_the_growing_axis_does_not_grow(shape: str) -> None:
    text = (
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '|i1', 'fortran_order': False, 'shape': ("
    )
    before, after = shape.split("{:>16}")
    text += before.encode()
    text += b" " * (-len(text) % 16) + f"{10:>16}{after}), }}".encode()
    Path("a.npy").write_bytes(text.ljust(127) + b"\n" + bytes(30))
    a = sh.open("a.npy")
    assert a.shape == np.load("a.npy").shape
    refused(sh.NotSharedError, lambda: a.append(a[:1]), "grow")


def test_files_of_numpy_can_grow() -> None:
    for dtype in ("u1", ">f8", "U3", _POINT):
        np.save("a.npy", np.zeros((4, 2), dtype))
        a = sh.open("a.npy", growable=True)
        a.append(np.zeros((3, 2), dtype))
        a.flush()
        assert np.load("a.npy").shape == (7, 2)
        del a
    np.save("s.npy", np.float64(3))
    refused(sh.ShapeError, lambda: sh.open("s.npy", growable=True), "dimension")
    with open("a.npy", "wb") as file:
        np.save(file, np.zeros(3))
        file.write(b"more")
    refused(sh.FormatError, lambda: sh.open("a.npy", growable=True), "4 bytes follow")


def test_a_killed_append_is_cut_off() -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([1])
    pwrite = os.pwrite

    def dies(fd: int, data: Any, offset: int) -> int:
        pwrite(fd, data[:-3], offset)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    child = os.fork()
    if child == 0:
        os.pwrite = dies
        try:
            a.append([2, 3])
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    assert a.latest().tolist() == [1]
    assert a.append([4]) == 1
    assert a.latest().tolist() == [1, 4]


def test_flush_brings_rows_to_the_disk_before_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    a.append([1])
    seen = []
    fsync = os.fsync

    def note(fd: int) -> None:
        seen.append(len(np.load("a.npy")))
        fsync(fd)

    monkeypatch.setattr(growing.os, "fsync", note)
    a.flush()
    assert seen == [0, 1]


def test_a_waiter_in_another_process_is_woken() -> None:
    a = sh.create("a.npy", 0, "i8", growable=True)
    context = multiprocessing.get_context("fork")
    reading, writing = context.Pipe(duplex=False)

    def wait() -> None:
        reader = sh.open("a.npy", "r")
        writing.send("ready")
        writing.send(reader.wait_longer(1, 60))

    child = context.Process(target=wait)
    child.start()
    assert reading.recv() == "ready"
    a.append([1])
    assert reading.recv()
    child.join()
    child.close()
    reading.close()
    writing.close()


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("u1", [300]),
        ("u1", [-1]),
        ("i8", [1.5]),
        ("i8", [np.nan]),
        ("i4", [2**40]),
        ("f8", [1j]),
        ("f4", [1e300]),
        ("f2", [70_000]),
        ("b1", [2]),
        ("U3", ["abcdef"]),
        ("S3", [b"abcdef"]),
        ("M8[s]", np.array(["2020-01-01T00:00:00.5"], "M8[ns]")),
    ],
)
def test_values_that_would_change_are_refused(dtype: str, values: Any) -> None:
    a = sh.create("a.npy", 0, dtype, growable=True)
    for rows in (values, np.array(values)):
        with pytest.raises(TypeError, match="values would change"):
            a.append(rows)
    assert len(a.latest()) == 0


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("u1", [255, 0]),
        ("i8", [2.0]),
        ("f4", [0.1, 1]),
        ("c8", [1, 2j]),
        ("U3", ["ab"]),
        ("M8[s]", np.array(["NaT", "2020"], "M8[ns]")),
    ],
)
def test_values_that_stay_the_same_are_converted(dtype: str, values: Any) -> None:
    a = sh.create("a.npy", 0, dtype, growable=True)
    a.append(values)
    a.append(np.array(values))
    wanted = np.array(values).astype(dtype)
    np.testing.assert_array_equal(a.latest(), np.concatenate([wanted, wanted]))


@pytest.mark.parametrize(
    ("dtype", "rows"),
    [
        ([("a", "i4"), ("b", "f4")], (1.5, 2)),
        ([("a", "i4"), ("b", "f4")], [(1, 2), (1, 1e300)]),
        ([("a", "U2")], [("abc",)]),
        ([("p", [("x", "u1")])], [((1.5,),)]),
        ([("m", "i2", (2,))], [([1, 2.5],)]),
        ("M8[s]", [np.datetime64("2020-01-01T00:00:00.5")]),
    ],
)
def test_objects_that_would_change_are_refused(dtype: Any, rows: Any) -> None:
    a = sh.create("a.npy", 0, dtype, growable=True)
    with pytest.raises(TypeError, match="values would change"):
        a.append(rows)
    assert len(a.latest()) == 0
