"""Errors name arrays in RAM as users write them: ``shm://name``, and no path."""

from __future__ import annotations

import ast
import errno
import fcntl
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults
import numpy as np
import pytest

import sharray as sh
from sharray.arrays import core
from sharray.names import quote
from sharray.storage import location
from sharray.storage.lifetime import lease
from sharray.system import files

NAME = "shm://run/a"
SOURCES = Path(sh.__file__).parent
# Directories, and files without a name in shm://, which a user must find by the path.
PATHS = {
    "storage/location.py": {"path"},  # a directory, which is to be removed
    "team/workers/process.py": {"path"},  # sys.path
    "cli/commands/demo/picture.py": {"path"},
    "system/libraries.py": {"path", "place.path"},
}


def path_of(name: str = NAME) -> str:
    return location.locate(name).path


@pytest.fixture(autouse=True)
def _remove() -> Iterator[None]:
    yield
    for top, _, names in os.walk(location.ram_directory()):
        for name in names:
            os.unlink(os.path.join(top, name))


def open_missing() -> None:
    sh.open(NAME)


def open_by_a_link() -> None:
    sh.create(NAME, 3)
    os.symlink("nowhere", path_of("shm://run/link"))
    sh.open("shm://run/link")


def create_existing() -> None:
    sh.create(NAME, 3)
    sh.create(NAME, 3)


def create_on_a_directory() -> None:
    sh.create(NAME, 3)
    sh.create("shm://run", 3, overwrite=True)


def create_on_a_link() -> None:
    sh.create(NAME, 3)
    os.symlink("nowhere", path_of("shm://run/link"))
    sh.create("shm://run/link", 3)


def create_without_room() -> None:
    sh.create(NAME, 1 << 50)


def create_above_a_limit() -> None:
    with faults.failing({"fallocate": errno.EDQUOT}, location.ram_directory()):
        sh.create(NAME, 1 << 15)  # smaller ones are written at once


def create_that_cannot_be_mapped() -> None:
    with faults.failing({"shared_mmap": errno.ENOMEM}, location.ram_directory()):
        sh.create(NAME, 3)


def _open_with_bytes(data: bytes) -> None:
    sh.create(NAME, 3)
    Path(path_of()).write_bytes(data)
    sh.open(NAME)


def open_text() -> None:
    _open_with_bytes(b"no array")


def open_unknown_version() -> None:
    _open_with_bytes(b"\x93NUMPY\x09\x00" + bytes(100))


def open_short_header() -> None:
    sh.create(NAME, 3)
    os.truncate(path_of(), 100)
    sh.open(NAME)


def open_truncated() -> None:
    sh.create(NAME, 5000)
    os.truncate(path_of(), 8192)
    sh.open(NAME)


def open_bad_header() -> None:
    sh.create(NAME, 3)
    _open_with_bytes(Path(path_of()).read_bytes().replace(b"<f8", b"|O8"))


def open_damaged_trailer() -> None:
    sh.create(NAME, 3)
    with open(path_of(), "r+b") as file:
        file.seek(-4096 + 20, os.SEEK_END)
        file.write(b"\xff" * 4)
    sh.open(NAME)


def open_without_permission() -> None:
    sh.create(NAME, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "open_existing", _denied)
        sh.open(NAME)


def _denied(*_: Any, **__: Any) -> int:
    raise PermissionError(errno.EACCES, "Permission denied")


def open_busy() -> None:
    sh.create(NAME, 3)
    with open(path_of(), "rb") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "_TIMEOUT", 0.001)
        fcntl.flock(file, fcntl.LOCK_EX)
        sh.open(NAME)


def load_gone() -> None:
    sent = pickle.dumps(sh.create(NAME, 3))
    sh.unlink(NAME)
    pickle.loads(sent)


def load_replaced() -> None:
    sent = pickle.dumps(sh.create(NAME, 3))
    sh.create(NAME, 3, overwrite=True)
    pickle.loads(sent)


def load_damaged() -> None:
    _, parts = sh.create(NAME, 3).__reduce_ex__(5)
    core.open_handle(*parts[:3], 1 << 40, *parts[4:])


def send_removed() -> None:
    a = sh.create(NAME, 3)
    os.unlink(path_of())
    pickle.dumps(a)


def flush_after_a_fault() -> None:
    a = sh.create(NAME, 3)
    a._root.segment.set_fault(errno.EIO)  # type: ignore[union-attr]
    a.flush()


def flush_a_removed_growable() -> None:
    a = sh.create(NAME, 0, growable=True)
    a.append(1.0)
    os.unlink(path_of())
    a.flush()


def clear_fault_missing() -> None:
    sh.clear_fault(NAME)


def unlink_missing() -> None:
    sh.unlink(NAME)


def unlink_text() -> None:
    sh.create(NAME, 3)
    Path(path_of()).write_bytes(b"no array")
    sh.unlink(NAME)


def inspect_missing() -> None:
    sh.inspect(NAME)


def make_growable() -> None:
    sh.create(NAME, 3)
    sh.open(NAME, growable=True)


def append_read_only() -> None:
    sh.create(NAME, 0, growable=True)
    sh.open(NAME, "r").append(1.0)


def append_to_truncated() -> None:
    a = sh.create(NAME, 0, growable=True)
    a.append([1.0, 2.0])
    os.truncate(path_of(), os.path.getsize(path_of()) - 8)
    a.append(3.0)


def send_unpublished() -> None:
    with sh.publish(NAME, 3) as new:
        pickle.dumps(new)


def publish_on_a_link() -> None:
    with sh.publish(NAME, 3):
        os.symlink("/dev/null", path_of())


def publish_after_a_fault() -> None:
    with sh.publish(NAME, 3) as new:
        new._root.segment.set_fault(errno.EIO)  # type: ignore[union-attr]


def snapshot_to_existing() -> None:
    sh.snapshot(sh.create(NAME, 3), NAME)


def snapshot_of_a_view() -> None:
    sh.snapshot(sh.create(NAME, 3)[1:], "shm://run/b")


RAISING: list[Callable[[], None]] = [
    open_missing,
    open_by_a_link,
    create_existing,
    create_on_a_directory,
    create_on_a_link,
    create_without_room,
    create_above_a_limit,
    create_that_cannot_be_mapped,
    open_text,
    open_unknown_version,
    open_bad_header,
    open_short_header,
    open_truncated,
    open_damaged_trailer,
    open_without_permission,
    open_busy,
    load_gone,
    load_replaced,
    load_damaged,
    send_removed,
    flush_after_a_fault,
    flush_a_removed_growable,
    clear_fault_missing,
    unlink_missing,
    unlink_text,
    inspect_missing,
    make_growable,
    append_read_only,
    append_to_truncated,
    send_unpublished,
    publish_on_a_link,
    publish_after_a_fault,
    snapshot_to_existing,
    snapshot_of_a_view,
]


@pytest.mark.parametrize("act", RAISING, ids=lambda act: act.__name__)
def test_errors_have_the_name_as_it_was_written(act: Callable[[], None]) -> None:
    with pytest.raises(sh.SharrayError) as caught:
        act()
    error = caught.value
    assert "'shm://run" in str(error)
    assert location.ram_directory() not in str(error)
    # The attributes have the path, by which other programs find the file.
    if error.path is not None:
        assert error.path.startswith(location.ram_directory())
    if isinstance(error, OSError):
        assert error.filename == error.path


def test_a_file_without_such_a_name_is_named_by_its_path() -> None:
    ram = location.ram_directory()
    assert quote(f"{ram}/run/a") == "'shm://run/a'"
    assert quote(f"{ram}/.anonymous/00ff.npy") == "'shm://.anonymous/00ff.npy'"
    for other in (f"{ram}/.control/00ff", f"{ram}/.a.0.new", f"{ram}/run/.a.0.new"):
        assert quote(other) == repr(other)
    assert quote("/data/it's.npy") == repr("/data/it's.npy")


def test_no_message_prints_a_path_in_another_way() -> None:
    found = {}
    for source in SOURCES.rglob("*.py"):
        tree = ast.parse(source.read_text())
        printed = {
            ast.unparse(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.FormattedValue)
            and node.conversion == ord("r")
            and ast.unparse(node.value).endswith("path")
        }
        name = str(source.relative_to(SOURCES))
        if printed - PATHS.get(name, set()):
            found[name] = printed
    assert found == {}


def test_an_array_outside_of_ram_keeps_its_path() -> None:
    path = os.path.abspath("a.npy")
    np.save(path, np.zeros(3))
    with pytest.raises(sh.ArrayExistsError, match="create the array '/"):
        sh.create("a.npy", 3)
