"""Arrays with a name: creating, opening, listing, removing."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest

import sharray as sh
from sharray.system import memory


@pytest.fixture(params=["a.npy", "shm://run/a"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _remove() -> object:
    yield
    for info in sh.list():
        sh.unlink(info.name)


def test_everyone_who_opens_it_sees_the_same_memory(name: str) -> None:
    a = sh.create(name, (3, 4), "f4", fill_value=2)
    b = sh.open(name)
    b[1] = 5
    assert a[1].tolist() == [5] * 4
    assert (b.dtype, b.shape, b.mode) == (np.dtype("f4"), (3, 4), "r+")
    assert a.filename == b.filename
    assert np.load(str(a.filename))[1, 1] == 5


def test_path_objects_and_relative_paths(tmp_path: Path) -> None:
    a = sh.create(Path("a.npy"), 3)
    assert a.filename == str(tmp_path / "a.npy")
    assert sh.open(tmp_path / "a.npy").shape == (3,)


def test_mode_r_cannot_be_written() -> None:
    sh.create("a.npy", 3)
    a = sh.open("a.npy", mode="r")
    assert a.mode == "r"
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        a.flags.writeable = True
    a.flush()


def test_mode_c_keeps_changes_private(name: str) -> None:
    shared = sh.create(name, 2048)  # four pages
    private = sh.open(name, mode="c")
    private[0] = 1
    assert shared[0] == 0
    shared[1024] = 2
    assert private[1024] == 2  # a page that was not changed here is still shared
    assert not private.durable
    private.flush()
    assert sh.open(name)[[0, 1024]].tolist() == [0, 2]


@pytest.mark.parametrize("mode", ["w+", "w", "rb", "", None])
def test_other_modes_are_refused(mode: str) -> None:
    sh.create("a.npy", 3)
    with pytest.raises(ValueError, match="'r', 'r\\+' or 'c'"):
        sh.open("a.npy", mode=mode)


def test_name_that_is_taken_is_left_alone(name: str) -> None:
    sh.create(name, 3, fill_value=4)
    with pytest.raises(sh.ArrayExistsError, match="overwrite=True"):
        sh.create(name, 5)
    assert sh.open(name).tolist() == [4, 4, 4]


def test_overwrite_leaves_the_old_array_to_its_holders(name: str) -> None:
    old = sh.create(name, 3, fill_value=4)
    new = sh.create(name, 2, "i2", fill_value=1, overwrite=True)
    assert old.tolist() == [4, 4, 4]
    new[0] = 8
    assert sh.open(name).tolist() == [8, 1]
    directory = os.path.dirname(str(new.filename))
    assert os.listdir(directory) == [os.path.basename(str(new.filename))]


def test_permissions_are_0600_unless_asked(name: str) -> None:
    a = sh.create(name, 3)
    assert stat.S_IMODE(os.stat(str(a.filename)).st_mode) == 0o600
    a = sh.create(name, 3, permissions=0o664, overwrite=True)
    assert stat.S_IMODE(os.stat(str(a.filename)).st_mode) == 0o664


def test_ram_directory_is_for_its_user_only() -> None:
    a = sh.create("shm://run/a", 3)
    directory = Path(str(a.filename)).parent
    for path in (directory, directory.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_context_manager_flushes_only_if_the_block_ends_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flushed = []
    monkeypatch.setattr(
        sh.SharedArray, "flush", lambda self, wait=True: flushed.append(self.shape)
    )
    with sh.create("a.npy", 3) as a:
        a[0] = 1
    with pytest.raises(KeyError), sh.open("a.npy"):
        raise KeyError
    assert flushed == [(3,)]
    assert a.tolist() == [1, 0, 0]


def test_unlink_leaves_the_array_to_its_holders(name: str) -> None:
    a = sh.create(name, 3, fill_value=4)
    sh.unlink(name)
    assert a.tolist() == [4, 4, 4]
    with pytest.raises(sh.ArrayNotFoundError, match="there is no array"):
        sh.open(name)
    with pytest.raises(FileNotFoundError, match="there is no array"):
        sh.unlink(name)


def test_unlink_removes_no_file_that_is_no_array() -> None:
    Path("notes.txt").write_text("keep me")
    with pytest.raises(sh.FormatError, match="not an array"):
        sh.unlink("notes.txt")
    assert Path("notes.txt").read_text() == "keep me"


def test_unlink_removes_empty_directories_of_names() -> None:
    path = Path(str(sh.create("shm://x/y/z", 3).filename))
    assert path.parent.parent.exists()
    sh.unlink("shm://x/y/z")
    assert not path.parent.parent.exists()


def test_list_tells_names_and_use() -> None:
    a = sh.create("shm://run/a", (2, 3), "f4")
    sh.create("shm://b", 5)
    found = sh.list()
    assert [(i.name, i.shape, i.nbytes, i.in_use) for i in found] == [
        ("shm://b", (5,), 40, False),
        ("shm://run/a", (2, 3), 24, True),
    ]
    assert found[1].dtype == a.dtype


def test_gc_never_takes_arrays_with_a_name(name: str) -> None:
    sh.create(name, 3, fill_value=4)
    assert sh.gc() == []
    assert sh.open(name).tolist() == [4, 4, 4]


def test_name_below_an_array_is_refused() -> None:
    sh.create("shm://a", 3)
    with pytest.raises((sh.StorageError, sh.UnsafePathError), match="not a directory"):
        sh.create("shm://a/b", 3)


def test_symbolic_link_on_a_disk_is_followed() -> None:
    a = sh.create("a.npy", 3)
    os.symlink("a.npy", "b.npy")
    sh.open("b.npy")[0] = 1
    assert a[0] == 1


def test_looks_tell_where_it_lives(name: str) -> None:
    a = sh.create(name, (2, 3), "f4")
    home = a.filename if name == "a.npy" else name
    durable = "flush() makes it durable" if name == "a.npy" else "not durable"
    assert repr(a).splitlines()[0] == (
        f"<SharedArray float32 (2, 3), 24 B in {home}, mode r+, {durable}>"
    )
    assert repr(a).endswith(repr(np.asarray(a)))
    assert repr(a + 1) == repr(np.asarray(a) + 1)
    assert str(a) == str(np.asarray(a))
    html = a._repr_html_()
    for part in ("float32", "(2, 3)", "24 B", str(home), "r+"):
        assert part in html


def test_html_card_escapes_names() -> None:
    a = sh.create("<b>&.npy", 3)
    assert "<b>&" not in a._repr_html_()


def test_private_array_says_so() -> None:
    a = sh.zeros(3)[[0, 1]]
    assert isinstance(a, sh.SharedArray)
    assert (a.filename, a.offset, a.mode, a.durable) == (None, None, None, False)
    assert "private memory" in a._repr_html_()
    with pytest.raises(sh.NotSharedError, match="is a private copy"):
        a.flush()


def test_durable_is_true_on_a_disk_only() -> None:
    assert sh.create("a.npy", 3).durable
    assert sh.open("a.npy", mode="r").durable
    assert not sh.create("shm://a", 3).durable
    assert not sh.zeros(3).durable


def test_class_itself_makes_no_arrays() -> None:
    with pytest.raises(TypeError, match=r"use sharray\.zeros"):
        sh.SharedArray((3,))


@pytest.mark.parametrize("path", [["a.npy"], None, 3, b"a.npy", "shm:/a", "SHM://a"])
def test_what_is_no_path_is_named(path: object) -> None:
    for call in (sh.open, sh.unlink, lambda name: sh.create(name, 3)):
        with pytest.raises(sh.ArrayNameError, match="expected"):
            call(path)


def test_missing_directory_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no directory .*/none'"):
        sh.create("none/a.npy", 3)


def test_directory_is_not_offered_to_be_overwritten() -> None:
    os.mkdir("d")
    with pytest.raises(sh.StorageError, match="it is a directory"):
        sh.create("d", 3)


@pytest.mark.parametrize("overwrite", [False, True])
def test_array_that_cannot_be_mapped_leaves_no_file(
    name: str, overwrite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    if overwrite:
        sh.create(name, 3, fill_value=4)
    with monkeypatch.context() as patch:
        patch.setattr(memory, "map_file", too_many)
        with pytest.raises(sh.StorageError, match="too many open files"):
            sh.create(name, 3, overwrite=overwrite)
    if overwrite:
        assert sh.open(name).tolist() == [4, 4, 4]
    else:
        with pytest.raises(sh.ArrayNotFoundError):
            sh.open(name)
