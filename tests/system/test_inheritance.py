"""What children inherit, as a value to compare."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from sharray.system import inheritance

pytestmark = pytest.mark.skipif(
    inheritance.inherited() is None, reason="there is no /proc/thread-self"
)


def _limit_files() -> Callable[[], object]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _change_umask() -> Callable[[], object]:
    before = os.umask(0o77)
    os.umask(before ^ 0o10)
    return lambda: os.umask(before)


def _ignore_a_signal() -> Callable[[], object]:
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    return lambda: signal.signal(signal.SIGUSR2, before)


def _use_one_core() -> Callable[[], object]:
    before = os.sched_getaffinity(0)
    if len(before) == 1:
        pytest.skip("there is one core only")
    os.sched_setaffinity(0, {min(before)})
    return lambda: os.sched_setaffinity(0, before)


def _enter_a_directory() -> Callable[[], object]:
    before = os.getcwd()
    Path("below").mkdir()
    os.chdir("below")
    return lambda: os.chdir(before)


@pytest.mark.parametrize(
    "change",
    [
        _change_umask,
        _enter_a_directory,
        _ignore_a_signal,
        _limit_files,
        _use_one_core,
    ],
)
def test_a_change_can_be_seen_and_undone(
    change: Callable[[], Callable[[], object]],
) -> None:
    before = inheritance.inherited()
    assert before == inheritance.inherited()
    hash(before)
    undo = change()
    try:
        assert inheritance.inherited() != before
    finally:
        undo()
    assert inheritance.inherited() == before


def test_without_a_directory_nothing_is_known(tmp_path: Path) -> None:
    before = os.getcwd()
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        assert inheritance.inherited() is None
    finally:
        os.chdir(before)
