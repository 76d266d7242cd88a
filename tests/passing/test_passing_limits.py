"""Messages where descriptors, the RAM directory or room in it are refused."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import disks
import passing_pressure as pressure
import pytest
from passing_pressure import (
    MIB,
    checksum,
    passed,
    payload,
    start_program,
    warnings_counted,
)

import sharray as sh
from sharray.passing.wire import sending
from sharray.system import file_systems, files

pytestmark = pytest.mark.slow


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to be others")
SPAWN = multiprocessing.get_context("spawn")
COUNT = 60


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    pressure.forget_outbox()
    with sh.installed():
        yield
    pressure.forget_outbox()


# -- descriptors ---------------------------------------------------------------


def start(target: Any, *arguments: Any) -> tuple[Any, Any]:
    """Start a process; return it and a pipe to it."""
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(there, *arguments))
    process.start()
    there.close()
    return process, here


def receive(process: Any, pipe: Any) -> Any:
    """Return the next message of a pipe; fail if none comes."""
    if not pipe.poll(500):
        process.kill()
        pytest.fail("no message came")
    return pipe.recv()


def test_a_sender_with_few_descriptors_loses_no_message() -> None:
    process, pipe = start(pressure.send_with_few_descriptors, COUNT)
    held = [receive(process, pipe) for _ in range(COUNT)]
    assert [checksum(x) for x in held] == [checksum(payload(i)) for i in range(COUNT)]
    process.join()
    pipe.close()
    assert process.exitcode == 0


def test_a_receiver_with_few_descriptors_loses_no_message() -> None:
    process, pipe = start(pressure.receive_with_few_descriptors, COUNT)
    for seed in range(COUNT):
        try:
            pipe.send(payload(seed))
        except BrokenPipeError:
            break  # the process has ended, which its exit code tells better
    process.join(500)
    assert process.exitcode == 0
    assert receive(process, pipe) == [checksum(payload(i)) for i in range(COUNT)]
    pipe.close()


def test_a_pool_whose_workers_have_few_descriptors_loses_no_message() -> None:
    arrays = [payload(seed) for seed in range(COUNT)]
    with SPAWN.Pool(1, pressure.limit_descriptors) as pool:
        found = pool.map_async(pressure.keep, arrays, 1).get(20)
        kept = pool.apply_async(pressure.sums_of_kept, (0,)).get(20)
        pool.close()
        pool.join()
    assert found == kept == [checksum(x) for x in arrays]


def test_few_descriptors_are_not_all_used_for_messages() -> None:
    done = start_program(
        """
import os
import sharray as sh
from passing_pressure import checksum, limit_descriptors, payload, passed

limit_descriptors(40)
with sh.installed():
    held = [passed(payload(seed)) for seed in range(60)]
    os.close(os.open("/", os.O_RDONLY))
    a, b = os.pipe()
    assert [checksum(x) for x in held] == [checksum(payload(i)) for i in range(60)]
"""
    )
    assert done.returncode == 0, done.stderr


def test_a_sender_that_had_no_descriptor_leaves_no_file_behind() -> None:
    done = start_program(
        """
import os, pickle, resource
import sharray as sh
from belongings import files_in_ram
from passing_pressure import checksum, payload, sent

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
with sh.installed():
    pickle.loads(sent(payload(0)))
    for free in range(8):
        sh.gc()
        taken = [os.open("/", os.O_RDONLY) for _ in range(free + 1)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1], hard))
        for fd in taken:
            os.close(fd)
        x = payload(free)
        message = sent(x)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        assert checksum(pickle.loads(message)) == checksum(x)
        sh.gc()
        assert files_in_ram() == [], free
"""
    )
    assert done.returncode == 0, done.stderr


# -- a directory that cannot be used --------------------------------------------

UNUSABLE = """
import sharray as sh
from passing_pressure import checksum, is_in_shared_memory, payload, passed

with sh.installed():
    for seed in range(3):
        found = passed(payload(seed))
        assert not is_in_shared_memory(found)
        assert checksum(found) == checksum(payload(seed))
"""

# The first message imports what another user may not be able to.
AS_ANOTHER_USER = """
import os

with sh.installed():
    passed(payload(0))
    sh.gc()
    os.chmod(os.environ["SHARRAY_RAM_DIR"], 0o555)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def ours(parent: Path) -> Path:
    """Return the directory that belongs to this user."""
    return parent / f"sharray-{os.getuid()}"


def _missing(parent: Path) -> Path:
    return parent / "missing"


def _a_file(parent: Path) -> Path:
    (parent / "file").touch()
    return parent / "file"


def _a_link(parent: Path) -> Path:
    (parent / "elsewhere").mkdir(0o700)
    ours(parent).symlink_to(parent / "elsewhere")
    return parent


def _open_to_others(parent: Path) -> Path:
    ours(parent).mkdir()
    ours(parent).chmod(0o777)
    return parent


def _a_linked_subdirectory(parent: Path) -> Path:
    ours(parent).mkdir(0o700)
    (parent / "elsewhere").mkdir(0o700)
    (ours(parent) / ".anonymous").symlink_to(parent / "elsewhere")
    return parent


def _of_another_user(parent: Path) -> Path:
    ours(parent).mkdir(0o700)
    os.chown(ours(parent), 65534, 65534)
    return parent


@pytest.mark.parametrize(
    "make",
    [
        _missing,
        _a_file,
        _a_link,
        _open_to_others,
        _a_linked_subdirectory,
        pytest.param(_of_another_user, marks=needs_root),
    ],
)
def test_where_the_directory_is_unusable_messages_are_pickled(
    make: Any, tmp_ram: str
) -> None:
    place = make(Path(tmp_ram))
    done = start_program(UNUSABLE, SHARRAY_RAM_DIR=str(place))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("RuntimeWarning: sharray: no shared memory") == 1
    assert "Traceback" not in done.stderr


@needs_root
def test_where_nothing_may_be_created_messages_are_pickled() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        imports, code = UNUSABLE.split("\n\n")
        code = imports + AS_ANOTHER_USER + code
        done = start_program(code, SHARRAY_RAM_DIR=place)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("RuntimeWarning: sharray: no shared memory") == 1


# -- when the RAM disk is full ---------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a RAM directory on a RAM disk of 8 MB."""
    with disks.tmpfs(tmp_path / "small", "8m") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        yield place
        sh.gc()


def fill(place: Path) -> None:
    """Leave no free block on a disk."""
    with open(place / "filler", "ab", buffering=0) as file:
        file.write(bytes(file_systems.free_bytes(str(place))))
    assert file_systems.free_bytes(str(place)) == 0


@needs_root
@pytest.mark.parametrize("budget", [None, 1 << 40])
def test_more_than_a_full_disk_takes_arrives(
    small_disk: Path, budget: int | None
) -> None:
    with sh.installed(budget=budget), warnings_counted() as found:
        held = [passed(payload(seed, MIB)) for seed in range(16)]
        sums = [checksum(payload(seed, MIB)) for seed in range(16)]
        assert [checksum(x) for x in held] == sums
        large = payload(1, 20 * MIB)
        assert checksum(passed(large)) == checksum(large)
        assert any(pressure.is_in_shared_memory(x) for x in held)
    assert len(found) == 1


@needs_root
def test_a_pool_works_on_a_disk_that_is_full(small_disk: Path) -> None:
    fill(small_disk)
    arrays = [payload(seed, MIB) for seed in range(6)]
    with sh.installed(), warnings_counted(), SPAWN.Pool(2) as pool:
        back = pool.map_async(pressure.echo, arrays, 1).get(60)
        pool.close()
        pool.join()
    assert [checksum(x) for x in back] == [checksum(x) for x in arrays]
    (small_disk / "filler").unlink()


@needs_root
def test_a_disk_that_fills_before_the_copy_has_room_for_it(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = sending.copy_parts

    def fill_then_copy(*arguments: Any) -> Any:
        fill(small_disk)
        return copy(*arguments)

    with sh.installed(budget=100 * MIB):
        monkeypatch.setattr(sending, "copy_parts", fill_then_copy)
        x = payload(1, 10 * MIB)[::2]  # not contiguous: it is copied
        found = passed(x)
        assert (small_disk / "filler").exists()
        assert pressure.is_in_shared_memory(found)
        assert checksum(found) == checksum(x)
        found[...] = 7  # not a page of it may lack room
    (small_disk / "filler").unlink()


@needs_root
def test_a_disk_that_fills_while_a_new_file_is_written_costs_no_message(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.write_all_at

    def fill_then_write(*arguments: Any) -> Any:
        fill(small_disk)
        return write(*arguments)

    with sh.installed(budget=100 * MIB), warnings_counted() as warned:
        monkeypatch.setattr(files, "write_all_at", fill_then_write)
        x = payload(1, 3 * MIB)
        found = passed(x)
        assert not pressure.is_in_shared_memory(found)
        assert checksum(found) == checksum(x)
    assert len(warned) == 1
    (small_disk / "filler").unlink()


def test_a_directory_that_was_removed_costs_no_message(tmp_ram: str) -> None:
    place = Path(tmp_ram) / "removed"
    place.mkdir()
    with pytest.MonkeyPatch.context() as patch, warnings_counted():
        patch.setenv("SHARRAY_RAM_DIR", str(place))
        with sh.installed():
            passed(payload(1))
            pressure.forget_outbox()
            shutil.rmtree(place)
            assert checksum(passed(payload(2))) == checksum(payload(2))
            place.mkdir()
            assert pressure.is_in_shared_memory(passed(payload(3)))
