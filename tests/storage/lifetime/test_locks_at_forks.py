"""A child that is forked while a file is locked does not keep the lock."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator

import pytest

import sharray as sh
from sharray.system import locks


class Child:
    """A forked process that has what is open now, until `end`."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._writer)
            os.read(reader, 1)
            os._exit(0)
        os.close(reader)

    def end(self) -> None:
        os.close(self._writer)
        os.waitpid(self._pid, 0)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Child]]:
    """Fork whenever somebody has just taken an exclusive lock."""
    children: list[Child] = []
    lock = locks.lock_exclusive

    def lock_and_fork(fd: int) -> bool | None:
        found = lock(fd)
        if found:
            children.append(Child())
        return found

    monkeypatch.setattr(locks, "lock_exclusive", lock_and_fork)
    yield children
    for child in reversed(children):  # later ones have the pipes of earlier ones
        child.end()


def test_an_array_that_is_awaited_can_be_opened(forked: list[Child]) -> None:
    array = sh.full(1000, 7.0)
    handle = pickle.dumps(array)
    del array  # to reap it fails: the handle may arrive
    assert forked
    found = pickle.loads(handle)
    assert found.sum() == 7000


def test_a_growable_array_can_be_opened(forked: list[Child]) -> None:
    array = sh.create("a.npy", (0, 3), growable=True)
    array.append([1, 2, 3])
    del array  # reaps its control page, and asks whether somebody has the file
    assert forked
    assert sh.open("a.npy").tolist() == [[1, 2, 3]]


def test_a_file_that_was_asked_about_can_be_opened(forked: list[Child]) -> None:
    sh.create("a.npy", 3)
    sh.inspect("a.npy")
    assert sh.open("a.npy").tolist() == [0, 0, 0]
