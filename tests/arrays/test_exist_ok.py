"""`create(..., exist_ok=True)` and `unlink(..., missing_ok=True)`: cells run again."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sharray as sh
from sharray.storage import location, making
from sharray.system import files

FORK = multiprocessing.get_context("fork")
PARTIES = 4
ROUNDS = 50


@pytest.fixture(params=["a.npy", "shm://run/a"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _remove() -> Iterator[None]:
    yield
    for info in sh.list():
        sh.unlink(info.name)


def path_of(name: str) -> str:
    return location.locate(name).path


def test_the_second_time_it_opens_the_same_file(name: str) -> None:
    a = sh.create(name, (2, 3), "f4", fill_value=7, exist_ok=True)
    a[0] = 1
    b = sh.create(name, (2, 3), "f4", fill_value=9, permissions=0o644, exist_ok=True)
    assert b.tolist() == [[1] * 3, [7] * 3]
    b[1] = 2
    assert a[1].tolist() == [2] * 3
    assert (b.mode, b.is_current()) == ("r+", True)
    assert os.stat(path_of(name)).st_mode & 0o777 == 0o600


MISFITS: dict[str, dict[str, Any]] = {
    "shape": {"shape": (3, 2)},
    "dimensions": {"shape": 6},
    "dtype": {"dtype": "i4"},
    "byte order": {"dtype": ">f4"},
    "unit": {"dtype": "M8[s]"},
    "structure": {"dtype": [("x", "f4")]},
    "order": {"order": "F"},
    "growable": {"growable": True},
    "anything": {"shape": (), "dtype": "U7"},
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_another_array_is_refused_with_both_descriptions(
    misfit: str, name: str
) -> None:
    wanted: dict[str, Any] = {"shape": (2, 3), "dtype": "f4"}
    sh.create(name, **wanted, fill_value=7)
    with pytest.raises(sh.ArrayExistsError) as caught:
        sh.create(name, **(wanted | MISFITS[misfit]), exist_ok=True)
    text = str(caught.value)
    expected, _, got = text.partition("expected ")[2].partition(", got ")
    assert got.startswith("float32 of fixed shape (2, 3) in C order; ")
    assert expected != got.partition(";")[0]
    for remedy in ("sharray.open(", "overwrite=True", "sharray.unlink("):
        assert remedy in got
    assert sh.open(name).tolist() == [[7] * 3] * 2


def test_the_same_elements_in_both_orders_fit(name: str) -> None:
    sh.create(name, (4, 1), order="F")
    assert sh.create(name, (4, 1), order="C", exist_ok=True).shape == (4, 1)
    with open("b.npy", "wb") as file:  # as some programs write it
        header = {"descr": "<f8", "fortran_order": True, "shape": (2,)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(16))
    assert sh.create("b.npy", 2, exist_ok=True).shape == (2,)


def test_files_of_numpy_fit() -> None:
    for order in "CF":
        np.save("b.npy", np.array([[1.0, 2], [3, 4]], order=order))
        b = sh.create("b.npy", (2, 2), order=order, exist_ok=True)
        assert b.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_growable_file_fits_with_any_number_of_rows(order: str, name: str) -> None:
    shape = (0, 2) if order == "C" else (2, 0)
    options: dict[str, Any] = {"order": order, "growable": True, "exist_ok": True}
    a = sh.create(name, shape, "i8", **options)
    a.append([[1, 2], [3, 4]] if order == "C" else [[1, 3], [2, 4]])
    b = sh.create(name, (5, 2) if order == "C" else (2, 5), "i8", **options)
    rows = b if order == "C" else b.T
    assert rows.tolist() == [[1, 2], [3, 4]]
    b.append([5, 6])
    assert a.latest().size == 6
    for other in (
        {"shape": (3, 0)[:: 1 if order == "F" else -1]},
        {"dtype": "f8"},
        {"growable": False},
    ):
        with pytest.raises(sh.ArrayExistsError, match="got int64 of growable shape"):
            sh.create(name, **({"shape": shape, "dtype": "i8"} | options | other))


@pytest.mark.filterwarnings("ignore:a .npy file does not keep the metadata")
def test_the_dtype_is_the_same_both_times(name: str) -> None:
    fields = [("x", "f8"), ("y", "i1")]
    wholes: list[Any] = [
        np.dtype((np.record, fields)),
        np.dtype(fields, align=True),
        np.dtype("f8", metadata={"unit": "m"}),
    ]
    for dtype in wholes:
        first, again = (sh.create(name, 3, dtype, exist_ok=True) for _ in range(2))
        assert again.dtype == first.dtype
        assert again.dtype.type is first.dtype.type
        assert again.dtype.isalignedstruct == first.dtype.isalignedstruct
        assert again.dtype.metadata == first.dtype.metadata
        sh.unlink(name)


def test_it_and_overwrite_exclude_each_other(name: str) -> None:
    with pytest.raises(ValueError, match="got both; pass exist_ok=True to"):
        sh.create(name, 3, exist_ok=True, overwrite=True)
    assert not os.path.exists(path_of(name))


def test_other_files_raise_their_own_errors(name: str) -> None:
    sh.create(name, 5000)
    path = Path(path_of(name))
    os.truncate(path, 8192)
    with pytest.raises(sh.FormatError, match="is too short"):
        sh.create(name, 5000, exist_ok=True)
    path.write_text("no array")
    with pytest.raises(sh.FormatError, match="is not an array file"):
        sh.create(name, 5000, exist_ok=True)
    assert path.read_text() == "no array"
    path.unlink()
    path.mkdir()
    with pytest.raises(sh.StorageError, match="it is a directory"):
        sh.create(name, 5000, exist_ok=True)
    path.rmdir()


def test_a_file_that_may_not_be_written_raises_its_own_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> int:
        raise PermissionError(errno.EACCES, "no")

    sh.create(name, 3)
    with monkeypatch.context() as patch:
        patch.setattr(files, "open_existing", denied)
        with pytest.raises(sh.AccessError, match="for writing: permission denied"):
            sh.create(name, 3, exist_ok=True)


def test_symbolic_links_are_followed_as_by_open() -> None:
    np.save("real.npy", np.ones(3))
    os.symlink("real.npy", "a.npy")
    assert sh.create("a.npy", 3, exist_ok=True).tolist() == [1] * 3
    os.remove("real.npy")
    with pytest.raises(sh.ArrayExistsError, match="which does not exist"):
        sh.create("a.npy", 3, exist_ok=True)


def test_a_missing_directory_raises_as_without_it() -> None:
    with pytest.raises(sh.ArrayNotFoundError, match="there is no directory"):
        sh.create("nowhere/a.npy", 3, exist_ok=True)


def test_a_file_that_another_process_makes_meanwhile_is_opened(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = making.create

    def slow(*args: Any, **options: Any) -> making.Made:
        if not os.path.exists(path_of(name)):
            monkeypatch.setattr(making, "create", real)
            sh.create(name, 3, fill_value=1)
        return real(*args, **options)

    monkeypatch.setattr(making, "create", slow)
    assert sh.create(name, 3, fill_value=2, exist_ok=True).tolist() == [1] * 3


def test_a_file_that_vanishes_meanwhile_is_made_with_all_values(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = making.create
    calls = []

    def late(place: Any, new: Any, contents: Any, **options: Any) -> making.Made:
        calls.append(place)
        if len(calls) > 1:
            return real(place, new, contents, **options)
        list(contents)  # written, and then another file has the name for a moment
        raise sh.ArrayExistsError("made up", place.path)

    monkeypatch.setattr(making, "create", late)
    values = np.arange(100_000.0)
    a = sh.create(name, values.shape, fill_value=values, exist_ok=True)
    assert np.array_equal(a, values)
    assert len(calls) == 2


def test_a_file_that_always_vanishes_raises(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(place: Any, *_: Any, **__: Any) -> making.Made:
        raise sh.ArrayExistsError("made up", place.path)

    monkeypatch.setattr(making, "create", taken)
    with pytest.raises(sh.StorageError, match="100 times meanwhile; try again"):
        sh.create(name, 3, exist_ok=True)


def test_a_misfit_leaves_nothing_mapped(name: str) -> None:
    made = sh.create(name, 3)
    del made
    with pytest.raises(sh.ArrayExistsError):
        sh.create(name, 4, exist_ok=True)
    with open("/proc/self/maps") as table:
        assert path_of(name) not in table.read()


def meet(name: str, index: int, barrier: sh.Barrier, right: Any) -> None:
    """Make the same array as the other parties, many times."""
    try:
        for _ in range(ROUNDS):
            barrier.wait()
            a = sh.create(name, PARTIES, fill_value=1, exist_ok=True)
            a[index] += 1
            barrier.wait()
            right[index] += a.tolist() == [2] * PARTIES
            barrier.wait()
            sh.unlink(name, missing_ok=True)
    except BaseException:
        barrier.abort()  # or the others would wait for this party
        raise


def test_processes_that_make_it_at_once_all_get_the_same(name: str) -> None:
    barrier, right = sh.Barrier(PARTIES), sh.zeros(PARTIES, int)
    parties = [
        FORK.Process(target=meet, args=(name, index, barrier, right))
        for index in range(PARTIES)
    ]
    for party in parties:
        party.start()
    for party in parties:
        party.join()
    assert [party.exitcode for party in parties] == [0] * PARTIES
    assert right.tolist() == [ROUNDS] * PARTIES


def test_threads_that_make_and_remove_it_disturb_nobody(name: str) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                assert sh.create(name, 3, exist_ok=True).shape == (3,)
                sh.unlink(name, missing_ok=True)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


# -- missing_ok -----------------------------------------------------------------


def test_to_remove_what_is_not_there_is_fine_if_told(name: str) -> None:
    with pytest.raises(sh.ArrayNotFoundError):
        sh.unlink(name)
    sh.unlink(name, missing_ok=True)
    sh.create(name, 3)
    sh.unlink(name, missing_ok=True)
    assert not os.path.exists(path_of(name))


def test_other_problems_of_removing_stay_errors() -> None:
    Path("a.npy").write_text("no array")
    with pytest.raises(sh.FormatError):
        sh.unlink("a.npy", missing_ok=True)
    os.symlink("nowhere", "b.npy")
    with pytest.raises(sh.ArrayNotFoundError, match="remove the link"):
        sh.unlink("b.npy", missing_ok=True)
