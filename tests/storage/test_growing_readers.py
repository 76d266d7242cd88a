"""Readers of growable arrays keep nobody from appending."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cli_tools import end, process

import sharray as sh
from sharray.storage import control_page, page_holding
from sharray.system import files

LOOK = "import sharray as sh; a = sh.open({name!r}, 'r'); a.latest()"


@pytest.fixture(params=["a.npy", "shm://a"])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    sh.create(request.param, (0, 2), "i4", growable=True)
    yield str(request.param)
    sh.unlink(request.param)


def test_a_reader_that_was_first_does_not_refuse_an_appender(name: str) -> None:
    with process(LOOK.format(name=name)) as child:
        assert sh.open(name).append([1, 2]) == 0
        end(child)


def test_a_reader_that_was_first_sees_what_is_appended_later(name: str) -> None:
    reader = sh.open(name, "r")
    assert reader.latest().shape == (0, 2)
    writer = sh.open(name)
    writer.append([[1, 2], [3, 4]])
    assert reader.latest().tolist() == [[1, 2], [3, 4]]


def test_a_reader_that_found_an_appender_holds_the_page(name: str) -> None:
    reader, writer = sh.open(name, "r"), sh.open(name)
    writer.append([1, 2])
    reader.latest()
    del writer
    # Nobody has flushed this row, so only the page has it.
    assert control_page.rows_of(reader._root.segment.identity) == 1
    assert len(reader.latest()) == 1


def test_waiting_beside_an_appender_needs_no_right_to_write(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = sh.open(name, "r"), sh.open(name)
    reader.latest()
    writer.append([1, 2])
    opened = []

    def note(path: str, *, writable: bool, **options: Any) -> int:
        opened.append(writable)
        return files.open_existing(path, writable=writable, **options)

    monkeypatch.setattr(page_holding, "files", _Files(note))
    assert reader.wait_longer(1, timeout=60)
    assert True not in opened


class _Files:
    """The module `files`, with another `open_existing`."""

    def __init__(self, open_existing: Any) -> None:
        self.open_existing = open_existing

    def __getattr__(self, name: str) -> Any:
        return getattr(files, name)


def test_a_reader_that_waits_opens_the_file_no_more_than_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = sh.open(name, "r")
    opened: list[int] = []
    closed: list[int] = []
    open_existing, close = files.open_existing, files.close

    def note(path: str, **options: Any) -> int:
        opened.append(open_existing(path, **options))
        return opened[-1]

    def note_close(fd: int) -> None:
        closed.append(fd)
        close(fd)

    patched = _Files(note)
    patched.close = note_close  # type: ignore[attr-defined]
    monkeypatch.setattr(page_holding, "files", patched)
    assert not reader.wait_longer(1, timeout=0.001)
    assert len(opened) == len(closed) + 1
