"""``sharray verify``."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import call
from faults import failing_flush
from hypothesis import given, settings
from hypothesis import strategies as st

import sharray as sh
from sharray.storage import location
from sharray.system import files

pytestmark = pytest.mark.slow

PAGE = 4096
DATA = 128  # where the data of a file on a disk begins
ON_DISK, IN_RAM = "x.npy", "shm://x"
STATE, FAULT, TRANSIT = 128, 192, 256


def verdicts(name: str | Path) -> dict[str, str]:
    """Return the verdict of each check, which must agree with the exit status."""
    done = call("verify", "--json", str(name))
    [found] = done.json
    assert found["name"] == str(name)
    checks = {check["name"]: check["verdict"] for check in found["checks"]}
    assert found["verdict"] == max(
        checks.values(), key=["good", "warning", "damaged"].index
    )
    assert done.code == (found["verdict"] == "damaged")
    for check in found["checks"]:
        assert check["verdict"] == "good" or check["advice"] or check["name"] == "file"
    return checks


def wrong(name: str | Path) -> dict[str, str]:
    return {
        check: verdict for check, verdict in verdicts(name).items() if verdict != "good"
    }


@pytest.fixture(autouse=True)
def _remove_the_file_in_ram() -> Iterator[None]:
    yield
    Path(location.locate(IN_RAM).path).unlink(missing_ok=True)


def path_of(name: str) -> Path:
    return Path(location.locate(name).path)


def changed(name: str, at: int, value: bytes, *, signed: bool = False) -> str:
    """Return a valid file with some bytes changed; `at` may count from its end."""
    sh.create(name, (3, 4), overwrite=True, fill_value=7)
    content = bytearray(path_of(name).read_bytes())
    start = at % len(content)
    content[start : start + len(value)] = value
    if signed:
        content[-PAGE + 56 : -PAGE + 60] = struct.pack(
            "<I", zlib.crc32(content[-PAGE : -PAGE + 56])
        )
    path_of(name).write_bytes(content)
    return name


def word(value: int) -> bytes:
    return struct.pack("<Q", value)


# -- files that are fine -------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4)),
        np.asfortranarray(np.ones((30, 40), ">c16")),
        np.zeros((0, 3)),
        np.array(5),
        np.zeros(5000, [("a", "f4"), ("b", "i8", (2, 3))]),
        np.zeros(2, [("ж", "U3")]),
        np.array(["2020"], "M8[s]"),
    ],
    ids=lambda array: str(array.dtype)[:20],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_sound_files_of_this_library_and_of_numpy_are_good(array: np.ndarray) -> None:
    order = "F" if array.flags.fnc else "C"
    for name in (ON_DISK, IN_RAM):
        sh.create(name, array.shape, array.dtype, order=order)[...] = array
    np.save("foreign.npy", array)
    os.chmod("foreign.npy", 0o600)
    for name, count in ((ON_DISK, 8), ("foreign.npy", 8), (IN_RAM, 12)):
        found = verdicts(name)
        assert set(found.values()) == {"good"}
        assert len(found) == count


def test_arrays_in_ram_are_checked_by_name_too() -> None:
    a = sh.create("shm://a", 3)
    b = sh.ones(3)
    handle = pickle.dumps(b)
    names = [found.name for found in sh.list()]
    assert len(names) == 2
    assert [wrong(name) for name in names] == [{}, {}]
    assert "handles in transit: 1" in call("verify", *names).out
    assert pickle.loads(handle).sum() == 3
    sh.unlink("shm://a")
    del a


def test_messages_under_way_are_no_damage() -> None:
    sh.install()
    try:
        ours, theirs = multiprocessing.Pipe()
        with ours, theirs:
            ours.send(np.ones(100_000))
            [found] = sh.list()
            assert wrong(found.name) == {}
            assert "a message is in transit" in call("verify", found.name).out
            received = theirs.recv()
            assert wrong(found.name) == {}
            del received
            assert wrong(found.name) == {}
    finally:
        sh.uninstall()


# -- damage --------------------------------------------------------------------


@pytest.mark.parametrize("name", [ON_DISK, IN_RAM])
@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"\0"), (6, b"\7"), (8, b"\xff\xff"), (10, b"["), (60, b"x")],
)
def test_a_damaged_header_is_found(name: str, at: int, value: bytes) -> None:
    assert wrong(changed(name, at, value)) == {"header": "damaged"}


def test_a_damaged_end_of_the_header_is_found() -> None:
    assert wrong(changed(ON_DISK, DATA - 1, b"x")) == {"header": "damaged"}


@pytest.mark.parametrize("behind", [b"\0", b"\x93SHARRAY", bytes(PAGE), bytes(9000)])
def test_bytes_behind_the_data_on_a_disk_are_a_warning(behind: bytes) -> None:
    changed(ON_DISK, 0, b"")
    with open(ON_DISK, "ab") as file:
        file.write(behind)
    assert wrong(ON_DISK) == {"end": "warning"}
    assert f"{len(behind)} bytes follow the data" in call("verify", ON_DISK).out
    np.save("x.npy", np.load("x.npy"))  # as the advice says
    assert wrong(ON_DISK) == {}


def test_a_file_of_ram_on_a_disk_has_bytes_behind_its_data() -> None:
    content = path_of(changed(IN_RAM, -PAGE + FAULT, word(5))).read_bytes()
    Path(ON_DISK).write_bytes(content)
    os.chmod(ON_DISK, 0o600)
    assert wrong(ON_DISK) == {"end": "warning"}


@pytest.mark.parametrize(
    ("at", "value", "expected"),
    [
        (PAGE - 1, b"x", {"header": "damaged"}),
        (PAGE + 96, b"\1", {"padding": "damaged"}),
        (2 * PAGE - 1, b"\1", {"padding": "damaged"}),
        (-PAGE, b"\0", {"trailer": "warning"}),
        (-PAGE + 20, b"\0\0", {"trailer": "damaged"}),
        (-PAGE + 56, b"\0\0\0", {"trailer": "damaged"}),
        (-PAGE + STATE, word(1), {"state": "damaged"}),
        (-PAGE + STATE, word(3), {"state": "damaged"}),
        (-PAGE + STATE, word(2**64 - 1), {"state": "damaged"}),
        (-PAGE + FAULT, word(5), {"fault": "damaged"}),
        (-PAGE + FAULT, word(2**64 - 1), {"fault": "damaged"}),
        (-PAGE + TRANSIT, word(1) + word(0) * 4, {"transit": "warning"}),
    ],
)
def test_each_kind_of_damage_in_ram_is_found(
    at: int, value: bytes, expected: dict[str, str]
) -> None:
    assert wrong(changed(IN_RAM, at, value)) == expected


def test_a_failed_flush_is_found_while_the_file_is_mapped() -> None:
    a = sh.create(ON_DISK, 3)
    assert wrong(ON_DISK) == {}
    failing_flush(a, errno.EIO)
    assert wrong(ON_DISK) == {"fault": "damaged"}
    sh.clear_fault(ON_DISK)
    assert wrong(ON_DISK) == {}


@pytest.mark.parametrize(
    ("offset", "capacity"), [(0, 2 * PAGE), (2 * PAGE, 0), (PAGE + 8, PAGE - 8)]
)
def test_a_trailer_that_contradicts_the_header_is_damage(
    offset: int, capacity: int
) -> None:
    name = changed(IN_RAM, -PAGE + 32, word(offset) + word(capacity), signed=True)
    assert wrong(name) == {"agreement": "damaged"}


@pytest.mark.parametrize(
    ("name", "kept", "expected"),
    [
        *((ON_DISK, kept, "header") for kept in (0, 5, 100, DATA - 1)),
        *((ON_DISK, kept, "size") for kept in (DATA, DATA + 95)),
        *((IN_RAM, kept, "header") for kept in (0, 5, 100, PAGE - 1)),
        *((IN_RAM, kept, "size") for kept in (PAGE, PAGE + 95)),
    ],
)
def test_a_truncated_file_is_damaged(name: str, kept: int, expected: str) -> None:
    os.truncate(path_of(changed(name, 0, b"")), kept)
    assert wrong(name) == {expected: "damaged"}


def test_a_header_that_has_lost_only_blanks_is_damaged_even_without_data() -> None:
    sh.create("x.npy", (0, 3))
    os.truncate("x.npy", 100)
    assert wrong("x.npy") == {"header": "damaged"}


def test_a_file_that_has_lost_its_trailer_is_told_from_one_that_never_had_one() -> None:
    path = path_of(changed(IN_RAM, 0, b""))
    os.truncate(path, 3 * PAGE - 1)
    assert wrong(IN_RAM) == {"trailer": "warning"}
    os.truncate(path, PAGE + 96)
    assert "trailer" in verdicts(IN_RAM)
    assert wrong(IN_RAM) == {}


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_what_cannot_be_opened_is_damaged_and_nothing_else_than_a_verdict_is_given(
    data: Any,
) -> None:
    name = data.draw(st.sampled_from([ON_DISK, IN_RAM]))
    places = st.integers(0, 160)
    if name == IN_RAM:
        places |= st.integers(-PAGE, -PAGE + 300)
    changed(name, data.draw(places), data.draw(st.binary(min_size=1, max_size=8)))
    found = verdicts(name)
    try:
        sh.open(name, "r")
    except sh.SharrayError:
        assert "damaged" in found.values()
    try:
        np.load(path_of(name))
    except Exception:  # of tokenize, too
        assert "damaged" in found.values()


@pytest.mark.parametrize("size", [0, 100, 5000, PAGE + 50])
def test_a_file_that_is_truncated_meanwhile_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    sh.create("x.npy", 100_000)
    status = files.status

    def truncate_after(fd: int) -> os.stat_result:
        found = status(fd)
        os.truncate("x.npy", size)
        return found

    monkeypatch.setattr(files, "status", truncate_after)
    assert "damaged" in verdicts("x.npy").values()


def test_what_is_no_file_is_damaged_and_nothing_waits_for_a_fifo(tmp_ram: str) -> None:
    os.mkfifo("fifo.npy")
    os.symlink("fifo.npy", "link.npy")
    for name in ("fifo.npy", "link.npy", ".", "/dev/zero", "nowhere", "shm://nowhere"):
        assert wrong(name) == {"file": "damaged"}, name
    for name in ("shm://../x", "", "shm://.anonymous/nowhere"):
        assert wrong(name) == {"file": "damaged"}, name


# -- what is only risky --------------------------------------------------------


def test_what_somebody_is_rewriting_is_only_a_warning() -> None:
    a = sh.open(changed(IN_RAM, -PAGE + STATE, word(1)))
    assert wrong(IN_RAM) == {"state": "warning"}
    del a
    assert wrong(IN_RAM) == {"state": "damaged"}


@pytest.mark.parametrize(
    ("mode", "who"), [(0o666, "everybody"), (0o620, "its group"), (0o644, "")]
)
def test_what_others_may_write_is_a_warning(mode: int, who: str) -> None:
    sh.create("x.npy", 3, permissions=mode)
    assert wrong("x.npy") == ({"access": "warning"} if who else {})
    assert f"{who or 'only its owner'} may write" in call("verify", "x.npy").out


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_what_another_user_may_truncate_is_a_warning() -> None:
    sh.create("x.npy", 3)
    os.chown("x.npy", 65534, 65534)
    assert wrong("x.npy") == {"access": "warning"}


def test_a_file_with_holes_is_a_warning() -> None:
    with open("x.npy", "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**6,)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 8 * 10**6)
    os.chmod("x.npy", 0o600)
    assert os.stat("x.npy").st_blocks * 512 < 8 * 10**6, "no holes here"
    assert wrong("x.npy") == {"room": "warning"}


# -- as text -------------------------------------------------------------------


def test_each_of_several_files_ends_with_what_to_do() -> None:
    np.save("good.npy", np.zeros(3))
    a = sh.create("x.npy", 3)
    failing_flush(a, errno.ENOSPC)
    done = call("verify", "good.npy", "x.npy")
    assert (done.code, done.err) == (1, "")
    first, second = done.out.split("\n\n")
    assert first.startswith("good.npy\n")
    assert first.endswith("\nGood.")
    assert second.startswith("x.npy\n")
    assert "No space left on device" in second
    assert second.splitlines()[-1] == (
        "Damaged. To do: write the data again, then call sharray.clear_fault."
    )
    assert call("verify", "good.npy").code == 0
    sh.clear_fault("x.npy")
    assert call("verify", "x.npy").code == 0


def test_hostile_names_and_headers_cannot_command_the_terminal() -> None:
    Path("\x1b[2J.npy").write_bytes(b"\x93NUMPY\1\0\x80\0{'\x1b[31m': 0}".ljust(200))
    np.save("field.npy", np.zeros(1, [("\x1b[31m", "i4")]))
    for columns in (None, 100):
        done = call("verify", "\x1b[2J.npy", "field.npy", columns=columns)
        assert done.code == 1
        assert "\x1b[31m" not in done.out
        assert "\x1b[2J" not in done.out
        assert "\\x1b[31m" in done.out
