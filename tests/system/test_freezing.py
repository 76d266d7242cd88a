"""Frozen memory: stores go to private pages, and the file keeps its values."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sharray.system import freezing, memory

PAGE = mmap.PAGESIZE


class File:
    """A file of ones in memory; its pages from the second on are frozen and thawed."""

    def __init__(self, nbytes: int) -> None:
        self.fd = memory.create_block(PAGE + nbytes, "frozen")
        self.mapping = mmap.mmap(self.fd, PAGE + nbytes)
        self.values = np.frombuffer(self.mapping, np.uint8)
        self.values[:] = 1
        self.nbytes = nbytes
        self.address = memory.address_of(self.mapping) + PAGE

    def freeze(self) -> int:
        return freezing.freeze(self.address, self.nbytes, self.fd, PAGE)

    def written(self) -> set[int]:
        """Return the values in the file."""
        return set(os.pread(self.fd, PAGE + self.nbytes, 0))

    def close(self) -> None:
        del self.values
        self.mapping.close()
        os.close(self.fd)


@pytest.fixture(params=[PAGE, 1 << 20, (5 << 20) + PAGE])
def file(request: Any) -> Iterator[File]:
    file = File(request.param)
    yield file
    file.close()


def at(address: int, nbytes: int) -> Any:
    return np.frombuffer((ctypes.c_char * nbytes).from_address(address), np.uint8)


def test_the_file_keeps_its_values(file: File) -> None:
    elsewhere = file.freeze()
    assert set(file.values) == {1}
    file.values[PAGE:] = 2
    assert file.written() == {1}
    assert set(at(elsewhere, file.nbytes)) == {1}
    freezing.thaw(file.address, file.nbytes, elsewhere)
    assert set(file.values) == {1}
    file.values[:] = 3
    assert file.written() == {3}


def test_only_the_private_memory_stays(file: File) -> None:
    elsewhere = file.freeze()
    file.values[PAGE:] = 2
    freezing.release(elsewhere, file.nbytes)
    os.pwrite(file.fd, bytes([4]), 0)  # a page that was not frozen
    assert set(file.values) == {1, 2, 4}
    assert file.written() == {1, 4}


@pytest.mark.parametrize("name", ["map_at", "_move"])
def test_a_failure_changes_nothing(
    file: File, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOMEM, "no addresses")

    before = addresses()
    monkeypatch.setattr(freezing, name, fail)
    with pytest.raises(OSError, match="no addresses"):
        file.freeze()
    file.values[:] = 5
    assert file.written() == {5}
    assert addresses() == before


def addresses() -> int:
    """Return how many bytes of addresses this process has mapped from such files."""
    with open("/proc/self/maps") as lines:
        found = [line.split()[0].split("-") for line in lines if "frozen" in line]
    return sum(int(end, 16) - int(begin, 16) for begin, end in found)


def test_no_address_is_left_over(file: File) -> None:
    before = addresses()
    for _ in range(3):
        freezing.thaw(file.address, file.nbytes, file.freeze())
        assert addresses() == before


def test_threads_read_while_memory_is_frozen_and_thawed(file: File) -> None:
    ended = threading.Event()
    found: list[int] = []

    def read() -> None:
        while not ended.is_set():
            found.append(int(file.values.max()))  # without the GIL

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        freezing.thaw(file.address, file.nbytes, file.freeze())
    ended.set()
    for thread in threads:
        thread.join()
    assert set(found) <= {1}


def test_a_platform_without_the_call(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "_mremap", None)
    with pytest.raises(NotImplementedError, match="mremap"):
        file.freeze()
