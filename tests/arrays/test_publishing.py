"""Published arrays: readers have the old one or the new one, and can tell which."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import stat
import tempfile
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh
from sharray.storage import replacing

OLD, NEW = 7.0, 8.0
FORK = multiprocessing.get_context("fork")
RAM = "/dev/shm" if os.path.isdir("/dev/shm") else None  # where fsync is free


@pytest.fixture(params=["a.npy", "shm://run/a"])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield str(request.param)
    for info in sh.list():
        sh.unlink(info.name)


def files_beside(path: str | None) -> list[str]:
    assert path is not None
    return sorted(os.listdir(os.path.dirname(path)))


# -- the block -----------------------------------------------------------------


def test_the_name_leads_to_the_old_array_until_the_block_ends(name: str) -> None:
    old = sh.create(name, 3, fill_value=OLD)
    path = old.filename
    before = files_beside(path)
    with sh.publish(name, (2, 2), "f4", fill_value=1) as new:
        assert new.tolist() == [[1, 1], [1, 1]]
        new[...] = NEW
        new.flush()
        new.flush(wait=False)
        assert sh.open(name).tolist() == [OLD] * 3
        assert files_beside(path) == before
        assert (old.is_current(), new.is_current()) == (True, False)
        assert (new.filename, new.durable) == (None, False)
        assert "a file without a name (will be " in repr(new)
    assert sh.open(name).tolist() == [[NEW, NEW], [NEW, NEW]]
    assert old.tolist() == [OLD] * 3
    assert (old.is_current(), new.is_current()) == (False, True)
    assert (new.filename, new.durable) == (path, name == "a.npy")
    assert files_beside(path) == before


def test_after_the_block_it_is_an_ordinary_array(name: str) -> None:
    with sh.publish(name, 3) as new:
        new[:] = OLD
    new[0] = NEW
    new.flush()
    new[:2].flush(wait=False)
    assert np.load(str(new.filename)).tolist() == [NEW, OLD, OLD]
    assert np.shares_memory(pickle.loads(pickle.dumps(new[1:])), new)
    assert sh.inspect(new).path == new.filename
    os.rename(str(new.filename), "moved.npy") if name == "a.npy" else None
    new.flush()
    assert new.is_current()


def test_a_first_file_appears_with_the_end_of_the_block(name: str) -> None:
    with sh.publish(name, 3) as new:
        new[:] = NEW
        with pytest.raises(sh.ArrayNotFoundError):
            sh.open(name)
    assert sh.open(name).tolist() == [NEW] * 3


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("is_old", [False, True])
def test_an_exception_leaves_the_old_array(
    name: str, is_old: bool, error: type[BaseException]
) -> None:
    if is_old:
        sh.create(name, 3, fill_value=OLD)
    with pytest.raises(error), sh.publish(name, 3) as new:  # noqa: PT012
        new[:] = NEW
        raise error
    assert new.tolist() == [NEW] * 3
    assert not new.is_current()
    if name == "a.npy":
        with pytest.raises(sh.ArrayGoneError):
            new.flush()
        assert os.listdir() == ["a.npy"] * is_old
    if is_old:
        assert sh.open(name).tolist() == [OLD] * 3
    else:
        assert sh.list() == []


def test_an_interrupt_before_the_name_leaves_the_old_array(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sh.create(name, 3, fill_value=OLD)
    target = replacing.target

    def interrupt(*args: Any, **kwargs: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return target(*args, **kwargs)

    with monkeypatch.context() as patch:  # noqa: SIM117
        with pytest.raises(KeyboardInterrupt), sh.publish(name, 3):
            patch.setattr(replacing, "target", interrupt)
    assert sh.open(name).tolist() == [OLD] * 3


def test_the_last_of_two_blocks_for_one_name_wins(name: str) -> None:
    with sh.publish(name, 3, fill_value=1) as outer:
        with sh.publish(name, 3, fill_value=2) as inner:
            pass
        assert sh.open(name).tolist() == [2, 2, 2]
    assert sh.open(name).tolist() == [1, 1, 1]
    assert (outer.is_current(), inner.is_current()) == (True, False)


def test_wrong_arguments_are_refused_before_the_block(name: str) -> None:
    for arguments in [(name, -1), (name, 3, object), (name, 3, "f8", "X")]:
        options = {"order": arguments[3]} if len(arguments) > 3 else {}
        with (
            pytest.raises((ValueError, TypeError)),
            sh.publish(*arguments[:3], **options),
        ):
            pytest.fail("the block began")
    with pytest.warns(UserWarning, match="metadata") as warned:  # noqa: SIM117
        with sh.publish(name, 3, np.dtype("f4", metadata={"unit": "m"})):
            pass
    assert warned[0].filename == __file__


@given(
    array=hnp.arrays(
        hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)
    ),
    order=st.sampled_from("CF"),
)
def test_a_published_file_has_the_bytes_of_numpy(array: Any, order: Any) -> None:
    with tempfile.TemporaryDirectory(dir=RAM) as directory:
        np.save(f"{directory}/numpy.npy", np.asarray(array, order=order))
        path = f"{directory}/ours.npy"
        with sh.publish(path, array.shape, array.dtype, order=order) as new:
            new[...] = array
        expected = Path(f"{directory}/numpy.npy").read_bytes()
        assert Path(path).read_bytes() == expected


# -- the file that is replaced ---------------------------------------------------


def test_the_target_of_a_link_is_replaced_and_keeps_its_access() -> None:
    os.mkdir("data")
    sh.create("data/a.npy", 3, fill_value=OLD)
    os.symlink("data/a.npy", "link.npy")
    with sh.publish("link.npy", 3, fill_value=NEW) as new:
        os.chmod("data/a.npy", 0o640)  # also if that comes late
    assert os.readlink("link.npy") == "data/a.npy"
    assert new.filename == os.path.abspath("data/a.npy")
    assert stat.S_IMODE(os.stat("data/a.npy").st_mode) == 0o640
    with sh.publish("link.npy", 3, permissions=0o604):
        pass
    assert stat.S_IMODE(os.stat("data/a.npy").st_mode) == 0o604
    assert os.listdir("data") == ["a.npy"]


def test_what_has_the_name_meanwhile_is_not_destroyed() -> None:
    with (  # noqa: PT012
        pytest.raises(sh.StorageError, match="become a symbolic link"),
        sh.publish("a.npy", 3),
    ):
        sh.create("other.npy", 3, fill_value=OLD)
        os.symlink("other.npy", "a.npy")
    assert np.load("other.npy").tolist() == [OLD] * 3
    os.unlink("a.npy")
    with pytest.raises(sh.StorageError, match="directory"), sh.publish("a.npy", 3):
        os.mkdir("a.npy")
    assert sorted(os.listdir()) == ["a.npy", "other.npy"]
    with pytest.raises(sh.StorageError, match="directory"), sh.publish("a.npy", 3):
        pytest.fail("the block began")


# -- other processes ---------------------------------------------------------------


def test_it_cannot_be_sent_before_others_could_open_it(name: str) -> None:
    sh.create(name, 3, fill_value=OLD)
    with sh.publish(name, 3) as new:
        for dumps in (pickle.dumps, ForkingPickler.dumps):
            for view in (new, new[1:]):
                refused(
                    sh.StorageError,
                    lambda dumps=dumps, view=view: dumps(view),
                    "until the block of sharray.publish ends.*send it after",
                )
    assert pickle.loads(pickle.dumps(new)).tolist() == [0, 0, 0]


def fill(array: Any, value: float) -> None:
    array[:] = value


def test_forked_children_fill_it(name: str) -> None:
    with sh.publish(name, 3) as new:
        child = FORK.Process(target=fill, args=(new, NEW))
        child.start()
        child.join()
        assert child.exitcode == 0
    assert np.load(str(new.filename)).tolist() == [NEW] * 3


@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "temporary name"])
@pytest.mark.parametrize("ending", ["well", "error"])
def test_a_forked_child_that_leaves_the_block_publishes_nothing(
    ending: str, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named:
        monkeypatch.setattr("sharray.system.files.open_unnamed", lambda directory: None)
    sh.create("a.npy", 3, fill_value=OLD)
    pid, status = os.getpid(), 0
    try:
        with sh.publish("a.npy", 3) as new:
            if (child := os.fork()) == 0:
                status = 1
                if ending == "error":
                    raise KeyError
            else:
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                assert np.load("a.npy").tolist() == [OLD] * 3
                new[:] = NEW
    except (KeyError, sh.StorageError) as error:
        is_told = isinstance(error, KeyError) or "in a forked child" in str(error)
        status = 0 if is_told and os.getpid() != pid else 2
    finally:
        if os.getpid() != pid:
            os._exit(status)
    assert status == 0
    assert np.load("a.npy").tolist() == [NEW] * 3
    assert os.listdir() == ["a.npy"]


def follow(name: str, ready: Any, seen: Any) -> None:
    """Open the name each time it is replaced, and check what is there."""
    last, generations = 0, 0
    array = sh.open(name, mode="r")
    ready.set()
    while last < 40:
        values = np.unique(array)
        assert values.size == 1, "torn"
        assert values[0] >= last, "backwards"
        generations += values[0] > last
        last = int(values[0])
        while array.is_current() and last < 40:
            pass
        array = sh.open(name, mode="r")
    seen.put(generations)


def test_readers_see_whole_arrays_in_their_order(name: str) -> None:
    with sh.publish(name, 100_000, "i8"):
        pass
    seen, ready = FORK.Queue(), FORK.Event()
    reader = FORK.Process(target=follow, args=(name, ready, seen))
    reader.start()
    ready.wait()
    for generation in range(1, 41):
        with sh.publish(name, 50_000 + generation, "i8") as new:
            new[:] = generation
    assert seen.get() > 0
    reader.join()
    assert reader.exitcode == 0
    seen.close()
    seen.join_thread()


# -- is_current ------------------------------------------------------------------


def test_an_array_is_current_as_long_as_its_file_has_a_name(name: str) -> None:
    a = sh.create(name, 3)
    views = a, a[1:], a[::-1], np.asarray(a).view(sh.SharedArray), sh.open(name, "c")
    assert all(view.is_current() for view in views)
    child = FORK.Process(target=sh.unlink, args=(name,))
    child.start()
    child.join()
    assert not any(view.is_current() for view in views)
    sh.create(name, 3)
    assert not any(view.is_current() for view in views)


def test_an_array_that_this_process_unlinked_is_not_current(name: str) -> None:
    a = sh.create(name, 3)
    sh.unlink(name)
    assert not a.is_current()


def test_a_renamed_file_is_current_and_a_copy_in_its_place_is_not() -> None:
    a = sh.create("a.npy", 3)
    os.rename("a.npy", "b.npy")
    assert a.is_current()
    np.save("a.npy", a)
    assert a.is_current()
    os.replace("a.npy", "b.npy")
    assert not a.is_current()


def test_anonymous_arrays_are_current_and_private_ones_have_no_answer() -> None:
    a = sh.zeros(3)
    assert a.is_current()
    assert pickle.loads(pickle.dumps(a)).is_current()
    refused(sh.NotSharedError, lambda: a[[1, 2]].is_current(), "private copy")
