"""Huge pages for arrays in RAM, as the kernel reports them in smaps."""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import disks
import numpy as np
import pytest
import smaps
from workers import start_python

import sharray as sh
from sharray.cli.commands.doctor import ram
from sharray.storage.format import BLOCK, TRAILER_SIZE
from sharray.storage.location import ram_directory
from sharray.system import files, huge_pages, limits, memory

MB = 1 << 20
LARGE = 9 * MB + 12345  # four huge pages, and a rest


def have_been_allowed() -> bool:
    """Tell whether this kernel has the call, from its version and setting."""
    version = tuple(map(int, os.uname().release.split(".")[:2]))
    found = limits.huge_pages()
    return version >= (6, 1) and found.size > 0 and found.shmem not in (None, "deny")


needs_huge_pages = pytest.mark.skipif(
    not have_been_allowed(), reason="needs Linux 6.1 with huge pages for shared memory"
)
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
SMALL_PIECES = "the memory of this machine is in small pieces"


def huge_bytes(array: np.ndarray) -> int:
    """Return the bytes of an array that this process sees in huge pages."""
    return smaps.nbytes(array, "ShmemPmdMapped")


@pytest.fixture
def fd(tmp_ram: str) -> Iterator[int]:
    number = os.open(tmp_ram, os.O_TMPFILE | os.O_RDWR)
    yield number
    os.close(number)


@needs_huge_pages
def test_a_large_array_is_in_huge_pages_in_each_process() -> None:
    for a in (sh.zeros(LARGE, "u1"), sh.full(LARGE, 5, "u1")):
        assert (a == a[0]).all()
        whole = LARGE // huge_pages.size() * huge_pages.size()
        if huge_bytes(a) == 0:
            pytest.skip(SMALL_PIECES)
        assert huge_bytes(a) == whole
        code = (
            "import pickle, smaps, sys\n"
            "a = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
            "a += 1\n"
            "print(smaps.nbytes(a, 'ShmemPmdMapped'))\n"
        )
        value = int(a[0])
        ended = start_python(code, pickle.dumps(a).hex())
        assert ended.stdout.split() == [str(whole)], ended.stderr
        assert (a == value + 1).all()


@pytest.mark.parametrize("nbytes", [10, 2 * MB, 4 * MB - 4096, 4 * MB, LARGE])
@pytest.mark.parametrize("value", [0, 1])
def test_an_array_takes_no_more_memory_than_its_file_is_long(
    nbytes: int, value: int
) -> None:
    sh.create("shm://a", nbytes, "u1", fill_value=value)
    data = -(-nbytes // BLOCK) * BLOCK
    assert sh.inspect("shm://a").allocated == BLOCK + data + TRAILER_SIZE
    sh.unlink("shm://a")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOMEM, errno.EBUSY])
@pytest.mark.parametrize("calls", [0, 1])
def test_without_huge_pages_all_pages_are_there_and_zero(
    monkeypatch: pytest.MonkeyPatch, code: int, calls: int
) -> None:
    monkeypatch.setattr(huge_pages, "_AT_ONCE", 2 * MB)
    advise, left = memory.advise, [None] * calls

    def refuse(address: int, nbytes: int, advice: int) -> None:
        if left:
            left.pop()
            return advise(address, nbytes, advice)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(memory, "advise", refuse)
    a = sh.create("shm://a", LARGE, "u1")
    assert left == []
    assert (sh.inspect(a).allocated or 0) >= LARGE
    assert not a.any()
    sh.unlink("shm://a")
    b = sh.array(np.arange(LARGE) % 251)
    assert np.array_equal(b, np.arange(LARGE) % 251)


@needs_root
def test_a_full_disk_in_ram_is_refused_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disks.tmpfs(tmp_path / "ram", "24m") as place:
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(place))
        free = os.statvfs(place).f_bfree
        monkeypatch.setattr("sharray.storage.room.check_room", lambda *_: None)
        with pytest.raises(sh.NoSpaceError):
            sh.zeros(25 * MB, "u1")
        assert os.statvfs(place).f_bfree >= free - 2  # directories
        a = sh.zeros(20 * MB, "u1")
        a[:] = 1  # all of it has room


@pytest.mark.parametrize("private", [False, True])
def test_an_aligned_mapping_shows_its_part_of_the_file(fd: int, private: bool) -> None:
    content = np.random.default_rng(1).bytes(6 * mmap.PAGESIZE)
    os.pwrite(fd, content, 0)
    multiple, offset, nbytes = 2 * MB, 2 * mmap.PAGESIZE, 3 * mmap.PAGESIZE
    for _ in range(20):
        found = memory.map_aligned(fd, nbytes, multiple, offset=offset, private=private)
        assert len(found) == multiple
        assert found[:nbytes] == content[offset : offset + nbytes]
        found[0] ^= 255
        assert (os.pread(fd, 1, offset) == content[offset : offset + 1]) is private
        found[0] ^= 255
        found.close()


@needs_huge_pages
def test_a_file_that_was_truncated_meanwhile_is_not_mapped(fd: int) -> None:
    os.ftruncate(fd, 4 * MB)
    with pytest.raises(OSError, match="truncated") as raised:
        huge_pages.map_file(fd, 4 * MB + 1, writable=True, private=False)
    assert raised.value.errno == errno.ENODATA


@pytest.mark.parametrize(("megabytes", "says"), [(62, "True"), (63, "1 1")])
def test_an_array_needs_no_more_addresses_than_its_file(
    megabytes: int, says: str
) -> None:
    code = (
        "import os, resource, sys\n"
        "import sharray as sh\n"
        "sh.ones(5 << 20, 'u1')\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        f"limit = pages * 4096 + ({megabytes} << 20) + (1 << 19)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try:\n"
        "    a = sh.empty(63 << 20, 'u1')\n"
        "except sh.StorageError as error:\n"
        "    print('ulimit -v' in str(error))\n"
        "else:\n"
        "    a[:] = 1\n"
        "    print(a[::4096].min(), a[-1])\n"
    )
    ended = start_python(code)
    assert ended.stdout.strip() == says, ended.stdout + ended.stderr


@needs_huge_pages
def test_collapsing_keeps_values_and_both_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huge_pages, "fill", lambda *_: False)
    a = sh.array(np.random.default_rng(2).integers(0, 256, LARGE, "u1"))
    before = a.copy()
    assert huge_bytes(a) == 0
    try:
        huge_pages.collapse(a.ctypes.data, a.nbytes)
    except BlockingIOError:
        pytest.skip(SMALL_PIECES)
    assert np.array_equal(a, before)
    assert huge_bytes(a) == 3 * huge_pages.size()  # without the first, of the header


@needs_huge_pages
def test_the_directory_of_arrays_has_them_as_the_doctor_says() -> None:
    assert ram.try_huge_pages(os.path.dirname(ram_directory()))


@needs_huge_pages
@pytest.mark.parametrize("position", [0, 1, BLOCK])
def test_data_is_stored_in_pieces_that_need_not_fit(
    fd: int, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huge_pages, "_COPIED_AT_ONCE", 100_000)
    content = np.random.default_rng(3).bytes(LARGE - BLOCK)
    if not huge_pages.fill(fd, LARGE):
        pytest.skip(SMALL_PIECES)
    files.allocate(fd, LARGE)
    cuts = [0, 0, 5, 100_001, 5 * MB, len(content)]
    parts = (memoryview(content)[a:b] for a, b in itertools.pairwise(cuts))
    huge_pages.store(fd, parts, position, LARGE)
    found = os.pread(fd, LARGE, 0)
    rest = LARGE - position - len(content)
    assert found == bytes(position) + content + bytes(rest)


@needs_huge_pages
def test_an_error_of_the_data_ends_the_mapping(fd: int) -> None:
    def parts() -> Iterator[memoryview]:
        yield memoryview(b"one")
        raise KeyboardInterrupt

    if not huge_pages.fill(fd, LARGE):
        pytest.skip(SMALL_PIECES)
    files.allocate(fd, LARGE)
    before = Path("/proc/self/maps").read_text().count(str(os.fstat(fd).st_ino))
    with pytest.raises(KeyboardInterrupt):
        huge_pages.store(fd, parts(), 0, LARGE)
    after = Path("/proc/self/maps").read_text().count(str(os.fstat(fd).st_ino))
    assert (before, after) == (0, 0)


@pytest.mark.parametrize("start", [0, 1, 4096, 3 * MB + 1, 4 * MB, 5 * MB])
@pytest.mark.parametrize("is_missing", [False, True])
def test_room_begins_where_the_data_ends(
    fd: int, start: int, is_missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.pwrite(fd, b"\1" * start, 0)
    if is_missing:
        monkeypatch.delattr(os, "posix_fallocate")
    files.allocate(fd, 4 * MB, start)
    assert os.pread(fd, 6 * MB, 0) == (b"\1" * start).ljust(4 * MB, b"\0")
    assert files.allocated_bytes(os.fstat(fd)) >= max(4 * MB, start)
