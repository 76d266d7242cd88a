"""Making small arrays: what is left out or remembered changes nothing else."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import sharray as sh
from sharray.storage import location
from sharray.storage.lifetime import lease
from sharray.storage.new_header import encode
from sharray.system import files

HAS_METADATA = np.dtype("f8", metadata={"unit": "m"})


@pytest.fixture
def ram(tmp_ram: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return our RAM directory in a place of its own, after the first array there."""
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)
    sh.zeros(3)
    return Path(location.ram_directory())


# -- remembered headers --------------------------------------------------------


@pytest.mark.parametrize("dtype", ["l", "q", "i8", ">i8", HAS_METADATA, "L", "Q", "?"])
@pytest.mark.parametrize("shape", [1, (1,), (1, 2), (2, 1), (0,), ()])
@pytest.mark.parametrize("order", ["C", "F"])
def test_equal_dtypes_and_shapes_are_not_mixed_up(
    dtype: np.dtype, shape: int | tuple[int, ...], order: str
) -> None:
    wanted = np.zeros(shape, dtype, order)
    for _ in range(2):
        a = sh.zeros(shape, dtype, order)
        assert (a.shape, a.dtype.char) == (wanted.shape, wanted.dtype.char)
        assert a.dtype.metadata == wanted.dtype.metadata
        assert a.dtype.byteorder == wanted.dtype.byteorder
        assert a.flags.f_contiguous == wanted.flags.f_contiguous


def test_a_remembered_shape_is_still_refused_as_bool() -> None:
    assert sh.zeros(1).shape == sh.zeros((1,)).shape == (1,)
    for shape in (True, (True,)):
        with pytest.raises(sh.ShapeError, match="integer"):
            sh.zeros(shape)


def test_headers_for_disk_and_ram_are_not_mixed_up() -> None:
    dtype = np.dtype("f4")
    kinds = [{}, {"pages": True}, {"growable": True}]
    sizes = [[len(encode(dtype, (5,), False, **kind).block) for kind in kinds]] * 2
    assert sizes == [[128, 4096, 128]] * 2


# -- directories ---------------------------------------------------------------


def test_a_directory_that_others_may_write_to_gets_no_names(ram: Path) -> None:
    a = sh.zeros(3)
    os.chmod(ram, 0o777)
    with pytest.raises(sh.UnsafePathError, match="others may write"):
        pickle.dumps(a)
    assert os.listdir(ram / ".anonymous") == []
    os.chmod(ram, 0o700)
    assert pickle.loads(pickle.dumps(a)).tolist() == [0, 0, 0]


def test_no_array_is_made_behind_a_link_to_another_file_system(
    ram: Path, tmp_path: Path
) -> None:
    if os.stat(tmp_path).st_dev == os.stat(ram).st_dev:
        pytest.skip("temporary files are in RAM, too")
    shutil.rmtree(ram)
    (tmp_path / "theirs" / ".anonymous").mkdir(parents=True)
    ram.symlink_to(tmp_path / "theirs")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(sh.UnsafePathError, match="symbolic link"):
        sh.zeros(3)
    assert os.listdir("/proc/self/fd") == before


def test_a_directory_that_was_removed_is_made_again(ram: Path) -> None:
    a = sh.zeros(3)
    shutil.rmtree(ram)
    b = sh.zeros(3)
    assert stat_mode(ram) == stat_mode(ram / ".anonymous") == 0o700
    assert [len(pickle.loads(pickle.dumps(one))) for one in (a, b)] == [3, 3]


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# -- the file ------------------------------------------------------------------


@pytest.mark.parametrize("nbytes", [0, 1, 4096, 50_000, 60_000, 70_000])
def test_each_page_has_room_before_the_array_is_used(nbytes: int) -> None:
    a = sh.zeros(nbytes, "u1")
    status = os.fstat(a._root.segment._unnamed_fd)
    assert status.st_blocks * 512 == status.st_size
    assert a.tolist() == [0] * nbytes


def test_a_write_that_stops_early_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:1000], at))
    a = sh.zeros(2000)
    assert a.sum() == 0
    assert pickle.loads(pickle.dumps(a)).shape == (2000,)
    content = np.random.default_rng(2).bytes(12_345)
    with (tmp_path / "file").open("w+b") as file:
        for data in (content, memoryview(content), memoryview(content).cast("B")):
            file.truncate(0)
            files.write_at(file.fileno(), data, 7)
            assert (tmp_path / "file").read_bytes() == bytes(7) + content


# -- dropping ------------------------------------------------------------------


def test_a_file_that_never_had_a_name_is_not_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    real = lease.reap
    monkeypatch.setattr(lease, "reap", lambda path: asked.append(path) or real(path))
    a = sh.zeros(3)
    del a
    assert asked == []
    b = sh.zeros(3)
    pickle.loads(pickle.dumps(b))
    path = b._root.segment.path
    del b
    assert asked == [path]
    assert not os.path.exists(path)


def test_a_file_that_a_forked_child_has_named_is_removed() -> None:
    a = sh.zeros(3)
    path = a._root.segment.path
    pid = os.fork()
    if pid == 0:
        a._root.segment.publish()
        os._exit(0)  # as if killed: it does not let go
    assert os.waitpid(pid, 0)[1] == 0
    assert os.path.exists(path)
    del a
    assert not os.path.exists(path)
