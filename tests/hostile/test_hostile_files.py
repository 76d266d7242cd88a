"""Files with a valid header and damage after it, and paths that are no files."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faults import failing_flush
from hostile import header_text, npy, refused

import sharray as sh
from sharray.storage import control_page
from sharray.storage.lifetime import lease
from sharray.system import file_identity

pytestmark = pytest.mark.slow


MODES = ["r", "r+", "c"]
PAGE = 4096


@pytest.fixture
def valid() -> bytes:
    """Return a file on a disk, x.npy: header and data."""
    sh.create("x.npy", (3, 4), "i4", fill_value=7)
    return Path("x.npy").read_bytes()


@pytest.fixture
def in_ram() -> Iterator[Path]:
    """Yield the path of a file in RAM: header block, one page of data, trailer."""
    a = sh.create("shm://x", (3, 4), "i4", fill_value=7)
    path = Path(str(a.filename))
    del a
    yield path
    path.unlink()


def _is_refused(content: bytes, says: str, path: Path = Path("x.npy")) -> None:
    path.write_bytes(content)
    for mode in MODES:
        refused(sh.FormatError, lambda mode=mode: sh.open(path, mode), says, path)
    assert path.read_bytes() == content, "the file was changed"


# -- sizes ---------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1, 127, 128, 129, 128 + 47])
def test_a_truncated_file_is_refused_and_never_extended(
    valid: bytes, kept: int
) -> None:
    _is_refused(valid[:kept], "truncated|begin")


@pytest.mark.parametrize("kept", [1, PAGE - 1, PAGE, PAGE + 1, PAGE + 47])
def test_a_truncated_file_in_ram_is_refused_and_never_extended(
    in_ram: Path, kept: int
) -> None:
    _is_refused(in_ram.read_bytes()[:kept], "truncated|begin", in_ram)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [2**31, 2**40, 2**59])
def test_a_shape_larger_than_the_file_is_refused(size: int, mode: str) -> None:
    content = npy(header_text(shape=f"({size},)"))
    Path("x.npy").write_bytes(content)
    refused(sh.FormatError, lambda: sh.open("x.npy", mode), "short", "x.npy")
    assert os.path.getsize("x.npy") == len(content)


def test_data_may_end_with_the_file() -> None:
    Path("x.npy").write_bytes(npy(header_text(), struct.pack("<3d", 1, 2, 3)))
    assert sh.open("x.npy").tolist() == [1, 2, 3]
    Path("x.npy").write_bytes(npy(header_text(), bytes(23)))
    refused(sh.FormatError, lambda: sh.open("x.npy"), "truncated", "x.npy")


def test_a_file_larger_than_the_address_space_is_refused() -> None:
    path = os.path.join(os.environ["SHARRAY_RAM_DIR"], "x.npy")
    Path(path).write_bytes(npy(header_text()))
    os.truncate(path, 2**62)
    try:
        refused(sh.StorageError, lambda: sh.open(path), "memory", path)
    finally:
        os.unlink(path)


# -- behind the data on a disk -------------------------------------------------


@pytest.mark.parametrize(
    "behind", [b"\0", b"\xff" * 4095, b"\x93SHARRAY".ljust(PAGE, b"\xff"), None]
)
def test_bytes_behind_the_data_on_a_disk_mean_nothing_and_stay(
    valid: bytes, in_ram: Path, behind: bytes | None
) -> None:
    if behind is None:  # a valid trailer, which says that a flush has failed
        content = in_ram.read_bytes()
        behind = _with_trailer(content, 192, struct.pack("<Q", 5), signed=True)[-PAGE:]
    Path("x.npy").write_bytes(valid + behind)
    array = sh.open("x.npy")
    assert array.tolist() == [[7] * 4] * 3
    array[...] = 7
    array.flush()
    sh.clear_fault("x.npy")
    assert Path("x.npy").read_bytes() == valid + behind


@pytest.mark.parametrize("mode", MODES)
def test_a_damaged_trailer_that_came_to_a_disk_keeps_nobody_out(
    in_ram: Path, mode: str
) -> None:
    content = _with_trailer(in_ram.read_bytes(), 16, b"?", signed=False)
    Path("x.npy").write_bytes(content)
    assert sh.open("x.npy", mode).sum() == 84


@pytest.mark.parametrize("fault", [5, 4096, 2**31, 2**63, 2**64 - 1])
@pytest.mark.usefixtures("valid")
def test_any_fault_of_a_control_page_is_reported_and_can_be_cleared(fault: int) -> None:
    array = sh.open("x.npy")
    failing_flush(array, errno.EIO)  # now it has a page, and holds it
    with open("x.npy", "rb") as file:
        identity = file_identity.identity_of(file.fileno(), os.fstat(file.fileno()))
    assert identity is not None
    page = control_page.find(identity)
    assert page is not None
    page.fault = fault
    page.close()
    refused(sh.FlushError, array.flush, "clear_fault", "x.npy")
    sh.clear_fault("x.npy")
    array.flush()


# -- the trailer in RAM --------------------------------------------------------


def _with_trailer(content: bytes, at: int, value: bytes, *, signed: bool) -> bytes:
    """Replace bytes of a file's trailer, and its checksum if `signed`."""
    page = bytearray(content[-PAGE:])
    page[at : at + len(value)] = value
    if signed:
        page[56:60] = struct.pack("<I", zlib.crc32(page[:56]))
    return content[:-PAGE] + bytes(page)


@pytest.mark.parametrize("at", [10, 12, 16, 31, 32, 40, 48, 55, 56, 59])
def test_each_damaged_byte_of_a_trailer_is_found(in_ram: Path, at: int) -> None:
    valid = in_ram.read_bytes()
    changed = bytes([valid[-PAGE + at] ^ 0x10])
    content = _with_trailer(valid, at, changed, signed=False)
    _is_refused(content, "damaged trailer", in_ram)


@pytest.mark.parametrize("version", [0, 2, 65535])
def test_a_trailer_of_another_version_is_refused(in_ram: Path, version: int) -> None:
    value = struct.pack("<H", version)
    content = _with_trailer(in_ram.read_bytes(), 8, value, signed=True)
    _is_refused(content, "version", in_ram)


@pytest.mark.parametrize(
    ("offset", "capacity"),
    [
        (0, PAGE),
        (PAGE, 0),
        (PAGE, 2 * PAGE),
        (PAGE, 2**64 - 1),
        (2**64 - PAGE, 3 * PAGE),
    ],
)
def test_a_trailer_that_contradicts_the_size_is_refused(
    in_ram: Path, offset: int, capacity: int
) -> None:
    value = struct.pack("<QQ", offset, capacity)
    content = _with_trailer(in_ram.read_bytes(), 32, value, signed=True)
    _is_refused(content, "damaged trailer", in_ram)


@pytest.mark.parametrize(
    ("offset", "capacity"), [(0, 2 * PAGE), (2 * PAGE, 0), (2 * PAGE - 8, 8)]
)
def test_a_trailer_that_contradicts_the_header_is_refused(
    in_ram: Path, offset: int, capacity: int
) -> None:
    value = struct.pack("<QQ", offset, capacity)
    content = _with_trailer(in_ram.read_bytes(), 32, value, signed=True)
    _is_refused(content, "contradict", in_ram)


def test_a_header_that_claims_more_than_the_capacity_is_refused(in_ram: Path) -> None:
    larger = in_ram.read_bytes().replace(b"(3, 4)", b"(3,999)")
    _is_refused(larger, "contradict|short", in_ram)


def test_a_file_in_ram_that_lost_its_trailer_is_a_foreign_one(in_ram: Path) -> None:
    in_ram.write_bytes(in_ram.read_bytes()[:-1])
    assert sh.open("shm://x").tolist() == [[7] * 4] * 3
    sh.clear_fault("shm://x")
    sh.open("shm://x").flush()


@pytest.mark.parametrize("fault", [5, 4096, 2**31, 2**63, 2**64 - 1])
def test_any_fault_word_is_reported_and_can_be_cleared(
    in_ram: Path, fault: int
) -> None:
    value = struct.pack("<Q", fault)
    content = in_ram.read_bytes()
    in_ram.write_bytes(_with_trailer(content, 192, value, signed=False))
    array = sh.open("shm://x")
    refused(sh.FlushError, array.flush, "clear_fault", in_ram)
    sh.clear_fault("shm://x")
    array.flush()


def test_garbage_in_the_shared_words_keeps_nobody_out(in_ram: Path) -> None:
    valid = in_ram.read_bytes()
    in_ram.write_bytes(valid[: -PAGE + 64] + b"\xff" * (PAGE - 64))
    assert sh.open("shm://x").sum() == 84


# -- what is no file -----------------------------------------------------------


@pytest.fixture
def bound_socket() -> Iterator[str]:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("socket")
        yield "socket"


@pytest.mark.parametrize("mode", MODES)
def test_a_fifo_is_refused_without_waiting(mode: str) -> None:
    os.mkfifo("fifo")
    refused(sh.FormatError, lambda: sh.open("fifo", mode), "regular", "fifo")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device: str, mode: str) -> None:
    refused(sh.FormatError, lambda: sh.open(device, mode), "regular", device)


def test_a_directory_is_refused() -> None:
    os.mkdir("folder")
    refused(sh.FormatError, lambda: sh.open("folder", "r"), "directory", "folder")
    refused(sh.StorageError, lambda: sh.open("folder", "r+"), "directory", "folder")
    refused(
        sh.StorageError,
        lambda: sh.create("folder", 3, overwrite=True),
        "directory",
        "folder",
    )
    refused(sh.StorageError, lambda: sh.unlink("folder"), "directory", "folder")
    assert os.listdir() == ["folder"]


@pytest.mark.parametrize("mode", MODES)
def test_a_socket_is_refused(bound_socket: str, mode: str) -> None:
    error = refused_as_storage(bound_socket, mode)
    assert error.path == os.path.abspath(bound_socket)


def refused_as_storage(path: str, mode: str) -> sh.StorageError:
    with pytest.raises(sh.StorageError) as caught:
        sh.open(path, mode)
    return caught.value


def test_unlink_leaves_alone_what_is_no_array(bound_socket: str) -> None:
    os.mkfifo("fifo")
    Path("notes.txt").write_text("not an array")
    for path in ("fifo", "notes.txt", bound_socket):
        with pytest.raises(sh.SharrayError):
            sh.unlink(path)
        assert os.path.lexists(path)


def test_a_symbolic_link_on_a_disk_is_followed(valid: bytes) -> None:
    os.symlink("x.npy", "link.npy")
    assert sh.open("link.npy").sum() == 84


def test_a_broken_or_circular_link_is_an_error() -> None:
    os.symlink("nowhere", "broken")
    refused(sh.ArrayNotFoundError, lambda: sh.open("broken"), "", "broken")
    os.symlink("circle", "circle")
    refused(sh.UnsafePathError, lambda: sh.open("circle"), "link", "circle")


# -- a lock that another process holds -----------------------------------------


def test_a_file_locked_by_another_program_is_busy(
    valid: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_TIMEOUT", 0.01)
    # flock knows open files, not processes: another descriptor is a stranger.
    with Path("x.npy").open("rb") as stranger:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        refused(sh.BusyError, lambda: sh.open("x.npy"), "lock", "x.npy")
    assert sh.open("x.npy").sum() == 84


def test_a_shared_lock_of_another_program_is_no_obstacle(valid: bytes) -> None:
    with Path("x.npy").open("rb") as stranger:
        fcntl.flock(stranger, fcntl.LOCK_SH)
        assert sh.open("x.npy").sum() == 84


def test_numpy_reads_what_sharray_calls_damaged(in_ram: Path) -> None:
    # The message promises it.
    in_ram.write_bytes(_with_trailer(in_ram.read_bytes(), 16, b"?", signed=False))
    refused(
        sh.FormatError, lambda: sh.open("shm://x"), "read it with numpy.load", in_ram
    )
    assert np.load(in_ram).sum() == 84
