"""Operations that permissions forbid, tried as a user to whom they apply."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import disks
import pytest
from workers import start_python

import sharray as sh

pytestmark = pytest.mark.slow


# The child says which error it got, of which kinds, and what that says.
CHILD = """
import os, sys
import sharray as sh
call, path = sys.argv[1:3]
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    eval(call)
except Exception as error:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    print(error.errno, error.path, ",".join(kinds), error, sep="\\n")
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """Return a directory that another user can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as found:
        place = Path(found)
        place.chmod(0o755)
        yield place
        place.chmod(0o700)


def _refusal(call: str, path: Path) -> list[str]:
    ended = start_python(CHILD, call, str(path))
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines, f"{call} was allowed"
    assert {"AccessError", "PermissionError"} <= set(lines[2].split(",")), lines
    return lines


@pytest.mark.parametrize(
    ("permissions", "call"),
    [
        (0o000, "sh.open(path)"),
        (0o000, "sh.open(path, 'r')"),
        (0o000, "sh.open(path, 'c')"),
        (0o000, "sh.clear_fault(path)"),
        (0o444, "sh.open(path, 'r+')"),
    ],
)
def test_a_file_of_another_user_is_denied(
    open_to_all: Path, permissions: int, call: str
) -> None:
    path = open_to_all / "a.npy"
    sh.create(path, 3, permissions=permissions)
    code, found, _, message = _refusal(call, path)
    assert (int(code), found) == (13, str(path))
    assert "permission denied" in message
    assert "mode" in message


def test_a_readable_file_of_another_user_opens_read_only(open_to_all: Path) -> None:
    path = open_to_all / "a.npy"
    sh.create(path, 3, permissions=0o444, fill_value=1)
    ended = start_python(CHILD, "print(sh.open(path, 'r').sum())", str(path))
    assert ended.stdout == "3.0\n"
    ended = start_python(CHILD, "print(sh.open(path, 'c').sum())", str(path))
    assert ended.stdout == "3.0\n"


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_created_in_a_read_only_directory(
    open_to_all: Path, overwrite: bool
) -> None:
    open_to_all.chmod(0o555)
    path = open_to_all / "a.npy"
    _refusal(f"sh.create(path, 3, overwrite={overwrite})", path)
    assert os.listdir(open_to_all) == []


def test_nothing_is_removed_from_a_read_only_directory(open_to_all: Path) -> None:
    path = open_to_all / "a.npy"
    sh.create(path, 3, permissions=0o444)
    open_to_all.chmod(0o555)
    _refusal("sh.unlink(path)", path)
    assert path.exists()


def test_a_directory_that_may_not_be_entered_is_denied(open_to_all: Path) -> None:
    path = open_to_all / "a.npy"
    sh.create(path, 3, permissions=0o444)
    open_to_all.chmod(0o600)
    for call in ("sh.open(path, 'r')", "sh.unlink(path)", "sh.create(path, 3)"):
        _refusal(call, path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
def test_a_file_system_mounted_read_only_is_denied(tmp_path: Path) -> None:
    sh.create("a.npy", 3, fill_value=1)
    with (
        disks.tmpfs(tmp_path / "mounted", "1m", "ro") as place,
        pytest.raises(sh.AccessError, match="read-only"),
    ):
        sh.create(place / "a.npy", 3)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give directories away")
def test_a_closed_ram_directory_of_another_user_is_denied(open_to_all: Path) -> None:
    # Root may enter every directory, so it is another user that looks at root's.
    code = f"""
import os
os.environ["SHARRAY_RAM_DIR"] = {str(open_to_all)!r}
import sharray as sh
from sharray.storage.location import ram_directory
os.mkdir(ram_directory(), 0o700)
os.setuid(65534)
for call in (sh.open, sh.unlink, lambda name: sh.create(name, 3)):
    for name in ("shm://a", "shm://a/b"):
        try:
            call(name)
        except sh.AccessError as error:
            print(type(error).__name__)
"""
    ended = start_python(code)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.split()) == 6, ended.stdout


def test_the_child_runs_this_library() -> None:
    ended = start_python("import sharray; print(sharray.__file__)")
    assert ended.stdout.strip() == sh.__file__, sys.path
