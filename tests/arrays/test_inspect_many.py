"""Inspecting many files at once: each as if it were the only one."""

from __future__ import annotations

import errno
import itertools
import os
import resource
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sharray as sh
from sharray.arrays.catalog import inspect_all
from sharray.storage import inspection
from sharray.system import files, locks, mappings, pages

COUNT = 12


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    """Arrays on a disk of all sizes, half of them held, some with dirty pages."""
    found = []
    for number in range(COUNT):
        name = str(tmp_path / f"{number:02}.npy")
        np.save(name, np.zeros((number + 1) * 1000))
        found.append(name)
    return found


def one_by_one(names: list[str]) -> list[sh.Inspection]:
    return [sh.inspect(name) for name in names]


def is_between(found: Any, before: sh.Inspection, after: sh.Inspection) -> bool:
    """Whether it is the same; meanwhile the system may write pages to the disk."""
    steady = [one._replace(dirty=0, resident=0) for one in (before, found, after)]
    amounts = [(one.dirty, one.resident) for one in (before, found, after)]
    falling = all(
        later <= earlier
        for first, second in itertools.pairwise(amounts)
        for earlier, later in zip(first, second, strict=True)
    )
    return falling and steady[0] == steady[1] == steady[2]


@pytest.mark.parametrize("most", [1, 5, 4096])
def test_it_is_what_a_look_at_each_finds(
    most: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [sh.open(name, mode="r+") for name in names[::2]]
    for number, array in enumerate(held):
        array.flush()
        array[: number * 500] = 1
    monkeypatch.setattr(inspection.looking, "_MOST_MAPPED", most)
    before = one_by_one(names)
    inspected, listed = inspect_all(names), sh.list(os.path.dirname(names[0]))
    after = one_by_one(names)
    for found in inspected, listed:
        assert all(map(is_between, found, before, after))
    assert [one.in_use for one in listed] == [n % 2 == 0 for n in range(COUNT)]


def test_each_that_cannot_be_inspected_says_why(names: list[str]) -> None:
    Path(names[1]).unlink()
    Path(names[3]).write_bytes(b"nothing")
    names.append("shm://../x")
    found = inspect_all(names)
    assert type(found[1]) is sh.ArrayNotFoundError
    assert type(found[3]) is sh.FormatError
    assert type(found[-1]) is sh.ArrayNameError
    others = [one.path for one in found if isinstance(one, sh.Inspection)]
    assert others == [names[0], names[2], *names[4:-1]]


@contextmanager
def looking(monkeypatch: pytest.MonkeyPatch, act: Any) -> Iterator[None]:
    """Do something while all files are mapped for a look at them."""
    dirty_bytes = pages.dirty_bytes

    def note(addresses: Collection[int]) -> dict[int, int]:
        act()
        return dirty_bytes(addresses)

    with monkeypatch.context() as patch:
        patch.setattr(pages, "dirty_bytes", note)
        yield


def test_no_file_is_locked_while_others_are_looked_at(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = []

    def look() -> None:
        for name in names:
            fd = files.open_existing(name, writable=False)
            locked.append(not locks.lock_exclusive(fd))
            files.close(fd)

    with looking(monkeypatch, look):
        inspect_all(names)
    assert locked == [False] * COUNT


def test_who_looks_is_no_holder(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def look() -> None:
        table = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        lines = [line.split() for line in table if line.endswith(tuple(names))]
        found = mappings.find({(line[3].encode(), line[4].encode()) for line in lines})
        seen.append(len(lines) == len(found) == COUNT)
        seen.append(not any(found.values()))

    with looking(monkeypatch, look):
        inspect_all(names)
    assert seen == [True, True]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_child_that_is_forked_meanwhile_maps_nothing(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = []

    def fork() -> None:
        child = os.fork()
        if child == 0:
            table = Path("/proc/self/maps").read_text(encoding="utf-8")
            os._exit(any(name in table for name in names))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    with looking(monkeypatch, fork):
        inspect_all(names)
    assert codes == [0]


def test_where_few_files_can_be_mapped_at_once_all_are_looked_at(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = one_by_one(names)
    map_to_look, unmap, now = pages.map_to_look, pages.unmap, []

    def limited(fd: int, nbytes: int) -> int:
        if len(now) == 5:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        now.append(fd)
        return map_to_look(fd, nbytes)

    def unmap_one(address: int, nbytes: int) -> None:
        unmap(address, nbytes)
        now.pop()

    with monkeypatch.context() as patch:
        patch.setattr(pages, "map_to_look", limited)
        patch.setattr(pages, "unmap", unmap_one)
        found = inspect_all(names)
    assert all(map(is_between, found, before, one_by_one(names)))


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.EMFILE, errno.ENFILE])
def test_list_leaves_nothing_out_that_it_had_no_means_to_look_at(
    code: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files, "open_existing", fail)
    with pytest.raises(sh.StorageError) as caught:
        sh.list(os.path.dirname(names[0]))
    assert caught.value.errno == code


def test_list_needs_few_descriptors(names: list[str]) -> None:
    expected = one_by_one(names)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 4, limits[1]))
    try:
        found = sh.list(os.path.dirname(names[0]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert all(map(is_between, found, expected, one_by_one(names)))
