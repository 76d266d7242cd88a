"""Advice about the pages under a view, as the kernel reports it in smaps."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smaps

import sharray as sh
from sharray.system import huge_pages, mappings, memory, remapping

PAGE = mmap.PAGESIZE
PAGES = 64
FLAGS = {"random": "rr", "sequential": "sr", "huge": "hg"}


def new() -> Any:
    """Return a view of an array, whose first page begins at its first element."""
    whole = sh.create("a.npy", (PAGES + 1) * PAGE, "u1")
    whole[:] = np.arange(whole.size) % 251
    found = whole[-whole.ctypes.data % PAGE :][: PAGES * PAGE]
    assert found.ctypes.data % PAGE == 0
    return found


def flags(array: Any, name: str) -> list[bool]:
    """Tell for each page of an array whether it has an advice."""
    first = array.ctypes.data
    return [
        FLAGS[name] in smaps.flags(address)
        for address in range(first, first + array.nbytes, PAGE)
    ]


@pytest.mark.parametrize("name", ["random", "sequential"])
def test_pages_that_have_a_part_of_the_view_get_the_advice(name: str) -> None:
    a = new()
    assert a[3 * PAGE + 100 : 5 * PAGE + 1].advise(name) is None
    expected = [page in (3, 4, 5) for page in range(PAGES)]
    assert flags(a, name) == expected
    a.advise("normal")
    assert flags(a, name) == [False] * PAGES


def test_a_view_with_gaps_stands_for_the_bytes_between_its_ends() -> None:
    a = new()
    rows = a.reshape(PAGES // 2, 2 * PAGE)
    rows[1:4, 5][::-1].advise("random")
    assert flags(a, "random") == [2 <= page <= 6 for page in range(PAGES)]


def test_dropped_pages_leave_this_process_and_keep_their_changes() -> None:
    a = new()
    before, resident = a.copy(), smaps.nbytes(a, "Rss")
    a[PAGE - 1 : 3 * PAGE + 1].advise("dontneed")
    assert smaps.nbytes(a, "Rss") == resident - 2 * PAGE
    a.advise("dontneed")
    assert smaps.nbytes(a, "Rss") == resident - PAGES * PAGE
    assert np.array_equal(a, before)
    a.flush()
    assert before.tobytes() in Path("a.npy").read_bytes()


def test_an_array_in_ram_keeps_what_is_dropped() -> None:
    a = sh.array(np.arange(3 << 20, dtype="u1"))
    before = a.copy()
    a.advise("dontneed")
    assert smaps.nbytes(a, "Rss") < a.nbytes
    assert np.array_equal(a, before)


def test_a_part_of_a_page_is_never_dropped() -> None:
    a = new()
    rss = smaps.nbytes(a, "Rss")
    a[10 : PAGE + 20].advise("dontneed")
    a[5:5].advise("dontneed")
    assert smaps.nbytes(a, "Rss") == rss


def test_pages_that_will_be_needed_are_read_without_being_used() -> None:
    a = new()
    a.flush()
    a.advise("dontneed")
    with open("a.npy", "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident(a) == PAGES:
        pytest.skip("this file system keeps all pages in memory")
    a.advise("willneed")
    while resident(a) < PAGES:  # the timeout of the test ends it
        os.sched_yield()


def resident(array: Any) -> int:
    """Return the number of pages in memory: mincore(2)."""
    answer = (ctypes.c_ubyte * PAGES)()
    mincore = ctypes.CDLL(None, use_errno=True).mincore
    start = ctypes.c_void_p(array.ctypes.data)
    assert mincore(start, ctypes.c_size_t(PAGES * PAGE), answer) == 0
    return sum(byte & 1 for byte in answer)


def test_private_changes_are_not_dropped() -> None:
    new()
    private = sh.open("a.npy", mode="c")
    private[:] = 7
    with pytest.raises(sh.AccessError, match=r"private changes.*sharray\.open"):
        private.advise("dontneed")
    private.advise("random")
    assert (private == 7).all()


def test_a_mapping_that_became_private_is_found(tmp_ram: str) -> None:
    with open(f"{tmp_ram}/file", "w+b") as file:
        file.write(bytes(2 * PAGE))
        file.flush()
        mapping = memory.map_file(file.fileno(), 2 * PAGE, writable=True, private=False)
        address = memory.address_of(mapping)
        assert not mappings.is_private_at(address + PAGE)
        remapping.make_private(address, 2 * PAGE, file.fileno())
        assert mappings.is_private_at(address + PAGE)
        mapping.close()


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_every_mode_takes_advice(mode: str) -> None:
    new()
    b = sh.open("a.npy", mode=mode)  # type: ignore[call-overload]
    b.advise("sequential")
    assert all(flags(b, "sequential"))


def test_an_array_with_parts_of_its_own_advice_follows_its_file() -> None:
    a = new()
    a[: 2 * PAGE].advise("random")
    a[5 * PAGE : 6 * PAGE].advise("sequential")
    os.rename("a.npy", "b.npy")
    assert a.filename == os.path.abspath("b.npy")
    a[7 * PAGE] = 1
    a.flush()
    found = sh.inspect(a)
    assert found.in_use
    assert found.holders is not None
    assert [holder.pid for holder in found.holders] == [os.getpid()]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOMEM, errno.EIO])
def test_each_refusal_has_a_remedy(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    a = new()

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(memory, "advise", refuse)
    remedies = {
        ("random", errno.EINVAL): "leave it out",
        ("random", errno.ENOMEM): r"vm\.max_map_count",
        ("huge", errno.EINVAL): "run `sharray doctor`",
        ("huge", errno.ENOMEM): "try again",
    }
    for name in ("random", "huge"):
        words = remedies.get((name, code), "cannot give the advice")
        with pytest.raises(sh.StorageError, match=words) as raised:
            a.advise(name)
        assert raised.value.errno == code
        assert "a.npy" in str(raised.value)


def test_huge_pages_take_the_place_of_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huge_pages, "fill", lambda *_: False)
    a = sh.array(np.arange(3 << 20))
    before = a.copy()
    assert smaps.nbytes(a, "ShmemPmdMapped") == 0
    try:
        a.advise("huge")
    except sh.StorageError as error:
        pytest.skip(f"this machine has none: {error}")
    assert np.array_equal(a, before)
    assert smaps.nbytes(a, "ShmemPmdMapped") >= 22 << 20


def test_wrong_calls_say_what_is_expected() -> None:
    a = new()
    with pytest.raises(ValueError, match=r"expected one of 'normal', .*, got 'hugh'"):
        a.advise("hugh")
    with pytest.raises(ValueError, match="expected one of"):
        a[:0].advise("hugh")
    with pytest.raises(sh.NotSharedError, match="use a slice"):
        a[[1, 2]].advise("random")
    assert Path("a.npy").exists()
