"""Files and arrays, interrupted at each point."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import io
import os
import pickle
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import workers
from belongings import belongings
from interrupting import Interrupted, interrupt_everywhere
from other_holder import other_holder

import sharray as sh
from sharray.arrays.addresses import Addresses
from sharray.storage import ending, kept, location, trailer
from sharray.system import clock, finalizing, mappings, memory, pages

# Creating files on a disk waits for it, so not each point is visited each time.
on_disk_and_in_ram = pytest.mark.parametrize(
    ("name", "step"),
    [
        ("a.npy", 3),
        ("shm://dir/a", 1),
        pytest.param("a.npy", 1, marks=pytest.mark.torture),
    ],
)


def none_is_lost(
    call: Callable[[], Any],
    verify: Callable[[Interrupted], None] = lambda outcome: None,
    *,
    step: int = 1,
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
        finalizing.act_for_the_dead()
        assert belongings() == before
        assert ending.count_held() == held
        assert is_told or outcome.error is None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of files that end unclosed
        again()  # what is there from the first time on
        before, held = belongings(), ending.count_held()
        interrupt_everywhere(again, check, step=step)
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


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.torture)])
def test_mappings_that_are_kept(step: int) -> None:
    def call() -> None:
        pickle.loads(handle)  # mapped, and kept
        pickle.loads(handle)  # used again
        kept.clear()

    def unmap_what_is_kept(_: Interrupted) -> None:
        finalizing.act_for_the_dead()
        kept.clear()

    with other_holder() as other:
        handle = other.handle()
        pickle.loads(handle)  # kept from the second time on
        none_is_lost(call, unmap_what_is_kept, step=step)
        assert (pickle.loads(handle) == 7).all()


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


@on_disk_and_in_ram
def test_create_leaves_no_file_or_returns(name: str, step: int) -> None:
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
    interrupt_everywhere(call, check, step=step)
    sh.unlink(name)


@on_disk_and_in_ram
def test_overwrite_leaves_the_old_file_or_the_new(name: str, step: int) -> None:
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
    interrupt_everywhere(call, check, step=step)
    sh.unlink(name)


@on_disk_and_in_ram
def test_publish_leaves_the_old_file_or_the_new(name: str, step: int) -> None:
    def call() -> Any:
        with sh.publish(name, 3) as new:
            new[:] = 2
        return new

    def check(outcome: Interrupted) -> None:
        found = sh.open(name).tolist()
        assert found in ([1.0] * 3, [2.0] * 3)
        assert outcome.value is None or found == [2.0] * 3
        outcome.value = None
        assert os.listdir() == (["a.npy"] if name == "a.npy" else [])
        sh.create(name, 3, fill_value=1, overwrite=True)
        assert belongings() == before

    sh.create(name, 3, fill_value=1)
    call()
    before = belongings()
    interrupt_everywhere(call, check, step=step)
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
    called = io.StringIO()
    # In C, as msync: after a function in Python no signals are looked for.
    msync = memory._msync
    monkeypatch.setattr(memory, "_msync", functools.partial(print, file=called))

    def call() -> None:
        ctypes.set_errno(errno.EIO)
        with pytest.raises(sh.FlushError):
            a.flush()

    def check(outcome: Interrupted) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(memory, "_msync", msync)
            if called.getvalue():
                with pytest.raises(sh.FlushError, match="did not reach"):
                    a.flush()
        called.truncate(0)
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
    interrupt_everywhere(call, check, step=3)


def test_gc_and_clear_fault() -> None:
    a = sh.create("a.npy", 3)
    directory = Path(location.anonymous_directory())

    def collect() -> None:
        (directory / "orphan.npy").write_bytes(b"")
        sh.gc()

    def check(outcome: Interrupted) -> None:
        sh.gc()
        assert belongings() == before

    sh.zeros(1)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = belongings()
    interrupt_everywhere(collect, check)
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


def end_everywhere() -> None:
    def make() -> list[Any]:
        arrays = [sh.zeros(3), sh.zeros(3)]
        for a in arrays:
            a._root.segment.publish()
        return arrays

    def check(outcome: Interrupted) -> None:
        paths = [a._root.segment.path for a in arrays]
        assert [os.path.exists(path) for path in paths] in ([True] * 2, [False] * 2)
        assert (ending.count_held() > 0) == os.path.exists(paths[0])
        ending.end()
        assert ending.count_held() == 0
        arrays[:] = make()

    arrays = make()
    print(interrupt_everywhere(ending.end, check) > 20)


def test_end_lets_go_of_all_arrays_or_none() -> None:
    # In a process of its own: other tests' modules have arrays, too.
    code = "import test_interrupts_arrays; test_interrupts_arrays.end_everywhere()"
    assert workers.run_python(code) == "True\n"


def test_addresses_find_each_root() -> None:
    class Thing:
        pass

    def check(outcome: Interrupted) -> None:
        assert [table.find(start) for start in range(len(things))] == things
        things.append(Thing())
        table.add(things[-1], len(things) - 1, 1)

    table: Addresses[Thing] = Addresses()
    things: list[Thing] = []
    check(None)  # type: ignore[arg-type]
    table._added.append(table._added[0])
    interrupt_everywhere(lambda: table.find(0), check)


class Interrupting:
    """A value that is interrupted while it is converted."""

    reached = False

    def __float__(self) -> float:
        signal.raise_signal(signal.SIGINT)
        self.reached = True
        return 1.0


@pytest.mark.parametrize("name", ["a.npy", "shm://a"])
def test_contents_are_interrupted_at_once(name: str) -> None:
    before = belongings()
    values = np.array([Interrupting(), Interrupting()])
    with pytest.raises(KeyboardInterrupt):
        sh.create(name, 2, fill_value=values)
    assert not values[0].reached
    del values
    assert os.listdir() == []
    assert belongings() == before


def test_waiting_for_a_lock_is_interrupted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sh.create("a.npy", 3)
    before = belongings()
    other = os.open("a.npy", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(clock, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        sh.open("a.npy")
    os.close(other)
    assert len(pauses) == 1
    assert belongings() == before
