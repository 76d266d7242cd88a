"""flush() of an array whose file was moved, replaced or removed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sharray as sh
from sharray.storage import segment as segments
from sharray.system import files, mappings, memory

Array = sh.SharedArray[Any, Any]


def write_anew(path: Path) -> None:
    """Replace a file as editors and rsync do."""
    np.save(path.with_name("new.npy"), np.zeros(4))
    os.replace(path.with_name("new.npy"), path)


GONE: dict[str, Callable[[Path], Any]] = {
    "removed": os.remove,
    "its directory removed": lambda path: shutil.rmtree(path.parent),
    "replaced": write_anew,
    "overwritten": lambda path: sh.create(path, 4, overwrite=True),
    "overwritten by another type": lambda path: (path.unlink(), path.mkdir()),
    "removed, and a link in its place": lambda path: (
        np.save("elsewhere.npy", np.zeros(4)),
        path.unlink(),
        path.symlink_to(Path("elsewhere.npy").resolve()),
    ),
    "renamed, and then removed": lambda path: (
        path.rename("moved.npy"),
        os.remove("moved.npy"),
    ),
}


def made(path: str = "kept/a.npy") -> tuple[Array, Path]:
    place = Path(path).absolute()
    place.parent.mkdir(exist_ok=True)
    return sh.create(place, 4), place


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("happened", GONE)
def test_flush_of_an_array_that_nobody_can_find_raises(
    happened: str, wait: bool
) -> None:
    a, path = made()
    part = a[1:3]
    part.flush(wait=wait)
    GONE[happened](path)
    part[:] = 7
    for array in (part, a, a[::-1], np.asarray(a).view(sh.SharedArray)):
        with pytest.raises(sh.ArrayGoneError, match=r"numpy\.save") as raised:
            array.flush(wait=wait)
        assert raised.value.path == str(path)
        assert not array.durable
        assert array.filename is None
    with pytest.raises(sh.ArrayGoneError):
        a.__reduce_ex__(5)
    assert a.tolist() == [0, 7, 7, 0]
    assert f"a file without a name (was {path})" in repr(a)
    assert sh.inspect(a).path is None
    assert not sh.inspect(a).durable


def test_a_block_that_lost_its_file_raises_at_its_end() -> None:
    a, path = made()
    with pytest.raises(sh.ArrayGoneError), a:  # noqa: PT012
        a[:] = 1
        os.remove(path)


def test_flush_of_an_array_written_by_another_program_raises_too() -> None:
    np.save("a.npy", np.arange(4.0))
    a = sh.open("a.npy")
    write_anew(Path("a.npy"))
    with pytest.raises(sh.ArrayGoneError):
        a.flush()


def test_a_file_that_is_replaced_during_the_flush_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, path = made()
    sync = memory.sync

    def replace_meanwhile(address: int, nbytes: int) -> None:
        sync(address, nbytes)
        write_anew(path)

    monkeypatch.setattr(memory, "sync", replace_meanwhile)
    with pytest.raises(sh.ArrayGoneError):
        a.flush()


MOVED: dict[str, Callable[[Path], Path]] = {
    "renamed": lambda path: path.rename("moved.npy"),
    "renamed, and another file in its place": lambda path: (
        path.rename("moved.npy"),
        np.save(path, np.zeros(4)),
    )[0],
    "its directory renamed": lambda path: path.parent.rename("moved") / path.name,
    "its name with a line break": lambda path: path.rename("a\nb.npy"),
    "its name as if deleted": lambda path: path.rename("x (deleted)"),
    "a second name beside it": lambda path: (os.link(path, "second.npy"), path)[1],
}


@pytest.mark.parametrize("happened", MOVED)
def test_an_array_follows_its_file(happened: str) -> None:
    a, path = made()
    part = a[1:3]
    now = MOVED[happened](path).absolute()
    part[:] = 7
    part.flush()
    assert part.durable
    assert part.filename == str(now)
    assert np.load(now).tolist() == [0, 7, 7, 0]
    opened, arguments = part.__reduce_ex__(5)
    assert arguments[0] == str(now)
    assert np.shares_memory(opened(*arguments), part)


def test_an_array_follows_its_file_and_not_the_link_to_it() -> None:
    sh.create("old.npy", 4)
    sh.create("new.npy", 4)
    os.symlink("old.npy", "current.npy")
    a = sh.open("current.npy")
    assert a.filename == os.path.abspath("current.npy")
    os.symlink("new.npy", "next.npy")
    os.replace("next.npy", "current.npy")
    a[:] = 1
    a.flush()
    assert a.filename == os.path.abspath("old.npy")
    assert np.load("old.npy").tolist() == [1, 1, 1, 1]
    assert np.load("current.npy").tolist() == [0, 0, 0, 0]


def test_a_file_of_which_another_hard_link_remains_is_not_taken_for_found() -> None:
    a, path = made()
    os.link(path, "second.npy")
    sh.unlink(path)
    # The data is at second.npy, which nothing tells; losing it would be worse.
    with pytest.raises(sh.ArrayGoneError):
        a.flush()


def test_a_name_that_proc_does_not_tell_from_others_is_refused() -> None:
    a, path = made()
    path.rename("\\012.npy")
    with pytest.raises(sh.ArrayGoneError):
        a.flush()


def test_without_proc_a_renamed_file_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_proc(*_: Any) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", "/proc/1/maps")

    a, path = made()
    monkeypatch.setattr(mappings, "_read", no_proc)
    a.flush()
    path.rename("moved.npy")
    with pytest.raises(sh.ArrayGoneError):
        a.flush()


def test_a_file_that_nfs_has_hidden_for_its_last_user_is_gone() -> None:
    a, path = made()
    path.rename(path.with_name(".nfs000000000000000100000001"))
    with pytest.raises(sh.ArrayGoneError):
        a.flush()


@pytest.mark.parametrize("removed", [False, True])
def test_a_file_in_a_directory_that_was_closed_to_us_may_be_there(
    removed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, path = made()
    if removed:
        path.unlink()

    def not_ours(name: str, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", name)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "stat", not_ours)
        assert a.durable != removed
        if removed:
            with pytest.raises(sh.ArrayGoneError):
                a.flush()
        else:
            a.flush()


def test_what_this_process_has_unlinked_is_not_durable_and_flushes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, path = made()
    view, reading = a[1:], sh.open(path, mode="r")
    sh.unlink(path)

    def fail(*_: Any) -> None:
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(memory, "sync", fail)
    monkeypatch.setattr(memory, "start_writeback", fail)
    for array in (a, view, reading):
        array.flush()
        array.flush(wait=False)
        assert not array.durable
        assert array.filename is None
    with a:
        a[:] = 1
    with pytest.raises(sh.ArrayGoneError):
        a.__reduce_ex__(5)
    # What has the name then is another array.
    b = sh.create(path, 4)
    assert b.durable
    a.flush()
    assert not a.durable


def test_the_child_of_a_process_that_unlinked_it_knows() -> None:
    a, path = made()
    sh.unlink(path)
    child = multiprocessing.get_context("fork").Process(target=a.flush)
    child.start()
    child.join()
    assert child.exitcode == 0


def test_what_another_process_has_unlinked_is_gone() -> None:
    a, path = made()
    child = multiprocessing.get_context("fork").Process(target=sh.unlink, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == 0
    with pytest.raises(sh.ArrayGoneError):
        a.flush()


@pytest.mark.parametrize("mode", ["r", "c"])
def test_nothing_is_lost_where_nothing_can_be_written(mode: str) -> None:
    _, path = made()
    a = sh.open(path, mode=mode)
    os.remove(path)
    a.flush()
    assert not a.durable
    assert a.filename is None


def test_arrays_in_ram_flush_nothing_also_without_a_name() -> None:
    a = sh.create("shm://a", 3)
    path = str(a.filename)
    os.remove(path)
    a.flush()
    assert a.filename is None
    assert not a.durable


# -- an anonymous array on a disk ------------------------------------------------


def test_an_anonymous_array_is_durable_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", str(tmp_path))
    a = sh.zeros(3)
    b = sh.create("shm://b", 3)
    if a._root.segment.volatile:  # type: ignore[union-attr]
        pytest.skip("the temporary directory is in RAM")
    monkeypatch.setattr(memory, "sync", lambda *_: pytest.fail("flushed"))
    a.flush()
    assert not a.durable
    line = repr(a).splitlines()[0]
    assert f"24 B in {tmp_path}/sharray-{os.getuid()}, anonymous" in line
    assert "not durable" in line
    monkeypatch.undo()
    # A name on a disk stays, wherever that is.
    assert b.durable
    b.flush()
    assert f"24 B in {b.filename}, mode r+, flush() makes it durable" in repr(b)


# -- the end of a mapping ----------------------------------------------------------


def test_a_mapping_that_somebody_exports_keeps_no_descriptor() -> None:
    a = sh.zeros(3)
    segment = a._root.segment  # type: ignore[union-attr]
    assert isinstance(segment, segments.Segment)
    fd = segment._unnamed_fd
    assert fd is not None
    exported = memoryview(segment.mapping)
    del a
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert bytes(exported[:6]) == b"\x93NUMPY"
    exported.release()
