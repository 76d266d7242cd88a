"""Invalid names of arrays, and places where no array can be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import disks
import pytest
from hostile import refused

import sharray as sh
from sharray.storage.location import ram_directory
from sharray.system import files

pytestmark = pytest.mark.slow


NOBODY = 65534
needs_root = pytest.mark.skipif(
    os.getuid() != 0, reason="only root may give files away and mount"
)

BAD_NAMES = {
    "empty": "",
    "NUL": "a\0b.npy",
    "bytes": b"a.npy",
    "lone surrogate": "\ud800.npy",
    "shm empty": "shm://",
    "shm parent": "shm://..",
    "shm up and away": "shm://../../etc/passwd",
    "shm empty part": "shm://a//b",
    "shm hidden": "shm://.x",
    "shm hidden below": "shm://a/.x",
    "shm absolute": "shm:///abs",
    "shm trailing slash": "shm://a/",
    "shm anonymous": "shm://.anonymous/x",
    "shm NUL": "shm://a\0",
    "shm surrogate": "shm://\ud800",
}
CALLS: dict[str, Callable[[Any], Any]] = {
    "create": lambda path: sh.create(path, 3),
    "open": sh.open,
    "unlink": sh.unlink,
    "clear_fault": sh.clear_fault,
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each_call
@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_bad_name_is_refused(name: Any, call: Callable[[Any], Any]) -> None:
    refused(sh.ArrayNameError, lambda: call(name))
    assert os.listdir() == []


@each_call
@pytest.mark.parametrize(
    "name", ["a" * 256, "a/" * 3000, f"shm://{'a' * 256}", f"shm://{'a' * 256}/b"]
)
def test_a_name_that_is_too_long_is_refused(
    name: str, call: Callable[[Any], Any]
) -> None:
    sh.create("shm://there", 1)  # else nothing is found for want of a directory
    refused(sh.StorageError, lambda: call(name), "too long")
    assert os.listdir() == []
    sh.unlink("shm://there")


def test_a_name_below_an_array_is_refused() -> None:
    sh.create("shm://file", 3)
    for name in ("shm://file/x", "shm://file/x/y"):
        for call in CALLS.values():
            with pytest.raises(sh.StorageError):
                call(name)
    sh.unlink("shm://file")


def test_a_missing_file_is_not_found() -> None:
    for path in ("a.npy", "no/where.npy", "shm://none", "shm://no/where"):
        refused(sh.ArrayNotFoundError, lambda path=path: sh.open(path))
        refused(sh.ArrayNotFoundError, lambda path=path: sh.unlink(path))


def test_a_missing_parent_is_an_error_and_is_not_made() -> None:
    error = refused(sh.ArrayNotFoundError, lambda: sh.create("no/a.npy", 3))
    assert error.path == os.path.abspath("no/a.npy")
    assert os.listdir() == []


def test_a_file_as_parent_is_an_error() -> None:
    Path("file").touch()
    for call in CALLS.values():
        refused(sh.StorageError, lambda call=call: call("file/a.npy"), "directory")


@pytest.mark.parametrize("name", ["a.npy", "shm://a"])
def test_a_taken_name_is_refused_and_the_array_stays(name: str) -> None:
    array = sh.create(name, 3, fill_value=1)
    refused(sh.ArrayExistsError, lambda: sh.create(name, 5), "overwrite")
    assert sh.open(name).tolist() == array.tolist() == [1, 1, 1]
    sh.unlink(name)


def test_a_link_in_the_way_is_neither_followed_nor_replaced() -> None:
    os.symlink("elsewhere", "a.npy")
    refused(sh.ArrayExistsError, lambda: sh.create("a.npy", 3), "", "a.npy")
    assert os.listdir() == ["a.npy"]


# -- the RAM directory ---------------------------------------------------------


@pytest.fixture
def ram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty parent of the RAM directory; return the latter, not yet made."""
    parent = tmp_path / "ram"
    parent.mkdir()
    monkeypatch.setenv("SHARRAY_RAM_DIR", str(parent))
    return Path(ram_directory())


def _all_refuse(name: str = "shm://a") -> None:
    refused(sh.UnsafePathError, lambda: sh.create(name, 3))
    refused(sh.UnsafePathError, lambda: sh.open(name))
    refused(sh.UnsafePathError, lambda: sh.zeros(3))


def test_a_linked_ram_directory_is_unsafe(ram: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    ram.symlink_to(tmp_path / "mine")
    _all_refuse()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777], ids=oct)
def test_a_ram_directory_that_others_may_write_to_is_unsafe(
    ram: Path, mode: int
) -> None:
    ram.mkdir()
    ram.chmod(mode)
    _all_refuse()


def test_a_file_as_ram_directory_is_unsafe(ram: Path) -> None:
    ram.touch()
    _all_refuse()


@needs_root
def test_a_ram_directory_of_another_user_is_unsafe(ram: Path) -> None:
    ram.mkdir(mode=0o700)
    os.chown(ram, NOBODY, NOBODY)
    _all_refuse()


def test_a_subdirectory_that_others_may_write_to_is_unsafe(ram: Path) -> None:
    sh.create("shm://below/a", 3)
    (ram / "below").chmod(0o777)
    refused(sh.UnsafePathError, lambda: sh.open("shm://below/a"), "others")
    refused(sh.UnsafePathError, lambda: sh.create("shm://below/b", 3), "others")


def test_a_symbolic_link_in_the_ram_directory_is_unsafe(ram: Path) -> None:
    sh.create("disk.npy", 3)
    sh.create("shm://real", 3)
    (ram / "to_disk").symlink_to(Path("disk.npy").absolute())
    (ram / "to_real").symlink_to(ram / "real")
    for name in ("to_disk", "to_real"):
        refused(sh.UnsafePathError, lambda name=name: sh.open(f"shm://{name}"), "link")


def test_what_is_no_array_in_the_ram_directory_is_not_listed(ram: Path) -> None:
    sh.create("shm://real", 3)
    os.mkfifo(ram / "fifo")
    (ram / "text").write_text("not an array")
    (ram / "link").symlink_to(ram / "real")
    assert [info.name for info in sh.list()] == ["shm://real"]


def test_a_ram_directory_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", str(tmp_path / "none"))
    refused(sh.ArrayNotFoundError, lambda: sh.zeros(3), "SHARRAY_RAM_DIR")


# -- no room -------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of one megabyte."""
    with disks.tmpfs(tmp_path / "small", "1m") as place:
        yield place


@needs_root
@pytest.mark.parametrize("fill_value", [None, 1])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_is_an_error_that_leaves_nothing(
    small_disk: Path, fill_value: int | None, overwrite: bool
) -> None:
    path = small_disk / "a.npy"
    error = refused(
        sh.NoSpaceError,
        lambda: sh.create(
            path, 2**18, "f8", fill_value=fill_value, overwrite=overwrite
        ),
        rf"needs {2**21 + 128} bytes, \d+ are free",
        path,
    )
    assert isinstance(error, OSError)
    assert os.listdir(small_disk) == []
    assert sh.create(path, 1000).sum() == 0


@needs_root
def test_a_full_ram_disk_is_an_error_that_leaves_nothing(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", str(small_disk))
    for make in (
        lambda: sh.create("shm://a", 2**18),
        lambda: sh.zeros(2**18),
        lambda: sh.ones(2**18),
    ):
        refused(sh.NoSpaceError, make, r"needs \d+ bytes, \d+ are free.*remount")
    assert [name for _, _, names in os.walk(small_disk) for name in names] == []
    assert sh.zeros(1000).sum() == 0


HUGE = {"2**50": 2**50, "largest": 2**60 - 1, "with header": 2**60 - 1000}


@pytest.fixture
def read_only_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that begins to write a file, which would fill the disk."""

    def fail(fd: int, *_: object) -> None:
        pytest.fail("it began to write a file for which there is no room")

    monkeypatch.setattr(files, "write_at", fail)
    monkeypatch.setattr(files, "allocate", fail)


@pytest.mark.usefixtures("read_only_files")
@pytest.mark.parametrize("fill_value", [None, 1])
@pytest.mark.parametrize("length", HUGE.values(), ids=HUGE)
def test_a_huge_array_is_refused_before_anything_is_written(
    length: int, fill_value: int | None
) -> None:
    def create() -> None:
        sh.create("a.npy", length, fill_value=fill_value)

    refused(sh.NoSpaceError, create, r"\d+", "a.npy")
    refused(sh.NoSpaceError, lambda: sh.full(length, fill_value or 0.0), r"\d+")
    assert os.listdir() == []


@pytest.mark.parametrize(
    "shape", [2**60, 2**100, (2**32, 2**32), (0, 2**62), -1, (1,) * 65]
)
def test_an_impossible_shape_is_refused(shape: Any) -> None:
    refused(sh.ShapeError, lambda: sh.zeros(shape))
    refused(sh.ShapeError, lambda: sh.create("a.npy", shape))
    assert os.listdir() == []
