"""The first message of a file: it is made with the data."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import passing_pressure as pressure
import pytest
from belongings import files_in_ram

from sharray.errors import NoSpaceError
from sharray.storage.messages import outbox
from sharray.storage.messages.outgoing import Outgoing
from sharray.system import files, huge_pages, interrupts, memory

MIB = 1 << 20
SIZES = [1, 70_000, MIB, 4 * MIB - 1, 9 * MIB + 5]


@pytest.fixture(autouse=True)
def _empty_outbox() -> Iterator[None]:
    pressure.forget_outbox()
    yield
    pressure.forget_outbox()


def content_of(nbytes: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(nbytes)


def take(content: bytes, *pieces: int) -> Outgoing:
    """Take a file for data that comes in pieces, which end at these positions."""
    ends_of = [*pieces, len(content)]
    blocks = (
        memoryview(content)[begin:end]
        for begin, end in zip([0, *ends_of], ends_of, strict=False)
    )
    with interrupts.deferred():
        found = outbox.take(len(content), None, lambda: blocks)
    assert found is not None
    return found


def data_of(outgoing: Outgoing, nbytes: int) -> bytes:
    return bytes(outgoing.segment.data[:nbytes])


@pytest.mark.parametrize("nbytes", SIZES)
def test_a_new_file_has_the_data_and_a_used_one_has_not(nbytes: int) -> None:
    content = content_of(nbytes)
    outgoing = take(content, nbytes // 3, nbytes // 3, nbytes // 2)
    assert outgoing.has_contents
    assert data_of(outgoing, nbytes) == content
    assert not any(outgoing.segment.data[nbytes:]), "the rest is zeros"
    outgoing.segment.data[:] = bytes(outgoing.capacity)  # every page has room
    outgoing.recall()
    again = take(content_of(nbytes, 2))
    assert again is outgoing
    assert not again.has_contents
    assert not any(again.segment.data)
    again.recall()


def test_the_file_has_all_its_blocks() -> None:
    outgoing = take(content_of(70_000))
    status = os.stat(outgoing.segment.path)
    assert files.allocated_bytes(status) >= status.st_size
    outgoing.recall()


def _write_little(monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:9999], at))


def _without_fallocate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")


def _without_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "fill", lambda *_: False)


def _without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have huge pages, but no mapping of the whole file."""
    map_aligned = memory.map_aligned

    def refuse(fd: int, nbytes: int, *arguments: Any, **more: Any) -> Any:
        if more.get("offset") is None:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return map_aligned(fd, nbytes, *arguments, **more)

    monkeypatch.setattr(memory, "map_aligned", refuse)


@pytest.mark.parametrize(
    "hinder",
    [_write_little, _without_fallocate, _without_huge_pages, _without_addresses],
)
@pytest.mark.parametrize("nbytes", SIZES)
def test_the_data_is_whole_whatever_the_system_lacks(
    nbytes: int,
    hinder: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hinder(monkeypatch)
    content = content_of(nbytes)
    outgoing = take(content, nbytes // 3)
    assert data_of(outgoing, nbytes) == content
    assert not any(outgoing.segment.data[nbytes:])
    outgoing.recall()


@pytest.mark.parametrize("call", ["pwrite", "posix_fallocate"])
def test_without_room_no_file_is_left(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/proc/self/fd")), files_in_ram()
    monkeypatch.setattr(huge_pages, "fill", lambda *_: False)

    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(NoSpaceError, match="remove files"):
            take(content_of(MIB))
    gc.collect()
    assert (len(os.listdir("/proc/self/fd")), files_in_ram()) == before
    assert outbox._outgoing == []


@pytest.mark.parametrize("nbytes", SIZES)
def test_an_error_of_the_data_leaves_no_file(nbytes: int) -> None:
    before = len(os.listdir("/proc/self/fd")), files_in_ram()

    def blocks() -> Iterator[memoryview]:
        yield memoryview(bytes(nbytes))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), interrupts.deferred():
        outbox.take(nbytes, None, blocks)
    gc.collect()
    assert (len(os.listdir("/proc/self/fd")), files_in_ram()) == before
    assert outbox._outgoing == []
    found = take(content_of(nbytes))  # the next one is not refused
    assert found.has_contents
    found.recall()
