"""Files and arrays, interrupted at each point."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from interrupting import Interrupted, belongings, interrupt_everywhere

import sharray as sh
from sharray.storage import deaths, trailer
from sharray.storage.lifetime import ending
from sharray.system import mappings, memory, pages


def none_is_lost(
    call: Callable[[], Any],
    verify: Callable[[Interrupted], None] = lambda outcome: None,
) -> None:
    """Interrupt a call at each point; it must raise, leave nothing, and work again."""

    def again() -> Any:
        value = call()
        os.getpid()  # where what came in a finalizer arrives
        return value

    def check(outcome: Interrupted) -> None:
        verify(outcome)
        is_told = outcome.raised or bool(outcome.dropped)
        outcome.value = None
        deaths.act_for_the_dead()
        assert belongings() == before
        assert ending.count_held() == held
        assert is_told or outcome.error is None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of files that end unclosed
        again()  # what is there from the first time on
        before, held = belongings(), ending.count_held()
        interrupt_everywhere(again, check)
        again()
        assert belongings() == before


@pytest.mark.parametrize(
    "make",
    [
        lambda: sh.zeros(5),
        lambda: sh.full((3, 2), 7.0),
        lambda: sh.array([[1, 2], [3, 4]], order="F"),
        lambda: sh.array(np.arange(10)[::2]),
    ],
    ids=["zeros", "full", "array", "strided"],
)
def test_anonymous_arrays(make: Callable[[], Any]) -> None:
    none_is_lost(lambda: make() is None)


def test_an_interrupt_outside_of_finalizers_is_raised() -> None:
    def call() -> None:
        made.append(sh.zeros(5))

    def check(outcome: Interrupted) -> None:
        assert outcome.raised, outcome
        assert len(made) in (0, 1)
        made.clear()

    made: list[Any] = []
    call()
    made.clear()
    interrupt_everywhere(call, check)


@pytest.mark.parametrize("name", ["a.npy", "shm://dir/a"])
def test_create_leaves_no_file_or_returns(name: str) -> None:
    def call() -> Any:
        return sh.create(name, 3, fill_value=1.5)

    def check(outcome: Interrupted) -> None:
        if outcome.value is None:
            outcome.value = sh.create(name, 3, fill_value=1.5)
        assert sh.open(name).tolist() == [1.5] * 3
        sh.unlink(name)
        outcome.value = None
        assert os.listdir() == []
        assert belongings() == before

    sh.create(name, 3)
    sh.unlink(name)
    before = belongings()
    interrupt_everywhere(call, check)
    sh.unlink(name)


@pytest.mark.parametrize("name", ["a.npy", "shm://a"])
def test_overwrite_leaves_the_old_file_or_the_new(name: str) -> None:
    def call() -> Any:
        return sh.create(name, 3, fill_value=2, overwrite=True)

    def check(outcome: Interrupted) -> None:
        found = sh.open(name).tolist()
        assert found in ([1.0] * 3, [2.0] * 3)
        assert outcome.value is None or found == [2.0] * 3
        outcome.value = None
        assert os.listdir() == (["a.npy"] if name == "a.npy" else [])
        sh.create(name, 3, fill_value=1, overwrite=True)
        assert belongings() == before

    sh.create(name, 3, fill_value=1)
    sh.create(name, 3, fill_value=1, overwrite=True)
    before = belongings()
    interrupt_everywhere(call, check)
    sh.unlink(name)


def test_overwrite_of_nothing_leaves_nothing() -> None:
    def call() -> Any:
        return sh.create("shm://a", 3, overwrite=True)

    def check(outcome: Interrupted) -> None:
        if outcome.value is not None:
            sh.unlink("shm://a")
            outcome.value = None
        assert belongings() == before

    call()
    sh.unlink("shm://a")
    before = belongings()
    interrupt_everywhere(call, check)
    sh.unlink("shm://a")


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_open(mode: str) -> None:
    sh.create("a.npy", 3, fill_value=1)

    def call() -> Any:
        return sh.open("a.npy", mode).sum()

    none_is_lost(call)


def test_handles() -> None:
    a = sh.create("a.npy", 3, fill_value=1)
    sent = pickle.dumps(a)
    assert pickle.loads(sent).tolist() == [1.0] * 3
    none_is_lost(lambda: pickle.loads(sent))  # of what is mapped
    del a
    none_is_lost(lambda: pickle.loads(sent))


def test_sending_an_array_that_has_no_name_yet() -> None:
    def call() -> Any:
        arrays.append(sh.full(3, 4.0))
        return pickle.dumps(arrays[-1])

    def check(outcome: Interrupted) -> None:
        if arrays:
            for pickled in pickle.dumps(arrays[-1]), outcome.value:
                found = [4.0] * 3 if pickled is None else pickle.loads(pickled).tolist()
                assert found == [4.0] * 3
            forget_sent(arrays.pop())
        assert belongings() == before

    arrays: list[Any] = []
    call()
    forget_sent(arrays.pop())
    before = belongings()
    interrupt_everywhere(call, check)
    forget_sent(arrays.pop())


def forget_sent(a: Any) -> None:
    """Have all handles of an array arrive; else the file would stay for them."""
    words = a._root.segment.words
    for index in range(trailer.TRANSIT_WORD, trailer.PAGE_WORDS):
        words[index] = 0


@pytest.mark.parametrize("wait", [True, False])
def test_flush(wait: bool) -> None:
    a = sh.create("a.npy", 3)
    none_is_lost(lambda: a.flush(wait))


def test_a_flush_that_failed_is_known_although_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = sh.create("a.npy", 3)
    failed = []

    def msync(*_: Any) -> int:
        failed.append(True)
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(memory, "_msync", msync)

    def call() -> None:
        with pytest.raises(sh.FlushError):
            a.flush()

    def check(outcome: Interrupted) -> None:
        if failed:
            with pytest.raises(sh.FlushError):
                a.flush()
        failed.clear()
        sh.clear_fault("a.npy")

    interrupt_everywhere(call, check)


def test_unlink() -> None:
    def call() -> None:
        sh.create("shm://dir/a", 3)
        sh.unlink("shm://dir/a")

    def check(outcome: Interrupted) -> None:
        assert outcome.raised
        if belongings() != before:
            assert sh.open("shm://dir/a").tolist() == [0.0] * 3
            sh.unlink("shm://dir/a")
            assert belongings() == before

    call()
    before = belongings()
    interrupt_everywhere(call, check)


def test_unlink_tells_the_arrays_of_this_process() -> None:
    def call() -> Any:
        arrays.append(sh.create("a.npy", 3))
        sh.unlink("a.npy")

    def check(outcome: Interrupted) -> None:
        for a in arrays:
            a.flush()  # else ArrayGoneError
        if os.path.exists("a.npy"):
            sh.unlink("a.npy")
        arrays.clear()

    arrays: list[Any] = []
    interrupt_everywhere(call, check)


def test_gc_and_clear_fault() -> None:
    a = sh.create("a.npy", 3)
    none_is_lost(sh.gc)
    none_is_lost(lambda: sh.clear_fault("a.npy"))
    del a


def test_list_and_inspect(monkeypatch: pytest.MonkeyPatch) -> None:
    # These read tables, which have thousands of points and nothing to be undone.
    monkeypatch.setattr(mappings, "find", lambda _: {})
    monkeypatch.setattr(mappings, "files_at", lambda _: {})
    monkeypatch.setattr(pages, "dirty_bytes", lambda _: {})
    a = sh.create("shm://a", 3)
    b = sh.create("b.npy", 3)
    none_is_lost(sh.list)
    none_is_lost(lambda: sh.list("."))
    none_is_lost(lambda: sh.inspect(b))
    sh.unlink("shm://a")
    del a
