"""The protocol of a team, interpreted: its functions are plain Python as well.

Threads play the processes. They are switched so often that each run has another
order of events.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_tools import until

from sharray.native import atomic, calling
from sharray.native.machine_code import ENTRY_TYPE
from sharray.native.waiting import futex_wake
from sharray.team.control import layout as at
from sharray.team.control import protocol as service
from sharray.team.control.protocol import lead, serve

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # ctypes takes Python's integers only.
    monkeypatch.setattr(
        service,
        "call_entry",
        lambda *words: calling.call_entry(*(int(word) for word in words)),
    )
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Interpreted:
    """A team of threads, whose kernel records the chunks of its calls."""

    def __init__(self, workers: int, caller_works: bool, spin_ns: int) -> None:
        self.members = workers + caller_works
        self.caller_works = caller_works
        self.control = np.zeros(at.size(self.members), np.int64)
        self.control[at.GATE] = at.CLOSED
        self.bases = np.zeros(1, np.int64)
        self.calls: list[tuple[int, int]] = []
        self.failing: set[int] = set()
        self.raised: list[int] = []
        self.obeyed = [0] * self.members
        self.bell = 0
        self._entry = ENTRY_TYPE(self.kernel)
        address = np.zeros(1, np.int64)
        address[0] = entry_address(self._entry)
        self.programs = address
        self.own = np.zeros(at.OWN_SIZE, np.int64)
        self.own[at.SPIN_NS] = spin_ns
        self.threads = [
            threading.Thread(target=self.work, args=(member, spin_ns))
            for member in range(int(caller_works), self.members)
        ]
        for thread in self.threads:
            thread.start()

    def kernel(
        self, slots: int, bases: int, begin: int, end: int, out: int, error: int
    ) -> int:
        self.calls.append((begin, end))
        return int(begin in self.failing)

    def work(self, member: int, spin_ns: int) -> None:
        own = np.zeros(at.OWN_SIZE, np.int64)
        own[at.MEMBER], own[at.SPIN_NS] = member, spin_ns
        while True:
            reason = serve(self.control, own, self.bases, self.programs)
            if reason == at.STOPPED:
                return
            if reason == at.CROWDED:
                continue  # threads share what they may use
            if reason == at.COMMANDED:
                own[at.SEEN] += 1
                self.obeyed[member] += 1
            else:
                assert reason == at.KERNEL_RAISED
                self.raised.append(member)

    def ring(self) -> int:
        self.bell += 1
        return self.bell

    def command(self) -> None:
        self.control[at.COMMANDS] += 1
        atomic.store(self.control, at.BELL, self.ring())
        futex_wake(self.control, at.BELL, at.EVERYBODY)

    def run(
        self, length: int, size: int, shift: int, static: bool, adapts: bool = False
    ) -> None:
        control, own = self.control, self.own
        chunks = max(1, -(-(length + shift) // size))
        for word, value in [
            (at.LENGTH, length),
            (at.CHUNK, size),
            (at.SHIFT, shift),
            (at.CHUNKS, chunks),
            (at.STATIC, static),
            (at.ADAPTS, adapts),
            (at.MEMBERS, self.members),
        ]:
            control[word] = value
        own[at.PHASE], own[at.RUN] = at.OPENING, self.ring()
        own[at.ENTRY], own[at.TAKES_PART] = self.programs[0], self.caller_works
        self.calls.clear()
        self.raised.clear()
        while (reason := lead(control, own, self.bases)) != at.FINISHED_RUN:
            if reason == at.KERNEL_RAISED:
                self.raised.append(0)
            else:
                assert reason == at.PAUSED
        # Nobody is inside, and nobody can come in any more.
        gate = int(control[at.GATE])
        assert gate & at.COUNT == 0
        assert gate & at.CLOSED
        assert gate >> 32 == own[at.RUN]

    def done(self) -> int:
        members = range(self.members)
        return int(sum(self.control[at.member(one) + at.DONE] for one in members))

    def undone(self) -> int:
        """Return the length of the chunks that neither are done nor raised."""
        lengths = {begin: end - begin for begin, end in self.calls}
        failed = [begin for begin in lengths if begin in self.failing]
        return sum(lengths.values()) - self.done() - sum(lengths[one] for one in failed)

    def stop(self) -> None:
        atomic.store(self.control, at.STOP, 1)
        until(self._all_have_stopped)
        for thread in self.threads:
            thread.join()

    def _all_have_stopped(self) -> bool:
        # Whoever was about to go to sleep must hear it as well.
        atomic.store(self.control, at.BELL, self.ring())
        futex_wake(self.control, at.BELL, at.EVERYBODY)
        return not any(thread.is_alive() for thread in self.threads)


def entry_address(function: Any) -> int:
    import ctypes

    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


sizes = st.tuples(st.integers(0, 40), st.integers(1, 50)).flatmap(
    lambda two: st.tuples(st.just(two[0]), st.just(two[1]), st.integers(0, two[1] - 1))
)
steps = st.lists(
    st.tuples(
        sizes,
        st.sampled_from(["static", "fixed", "adapts"]),
        st.integers(0, 2),
        st.lists(st.integers(0, 40), max_size=2) | st.just([]),
    ),
    min_size=1,
    max_size=12,
)


def check_covered(team: Interpreted, length: int, begins: set[int]) -> None:
    """Check that chunks begin at grains, and cover all exactly once without errors."""
    calls = sorted(team.calls)
    assert {begin for begin, _ in calls} <= begins
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(calls))
    if team.raised:
        assert team.control[at.CANCEL] == 1
        return
    assert [begin for begin, _ in calls] == [0, *(end for _, end in calls[:-1])]
    assert calls[-1][1] == team.done() == length
    assert team.control[at.CANCEL] == 0


@settings(deadline=None, max_examples=60)
@given(
    workers=st.integers(0, 3),
    caller_works=st.booleans(),
    spin_ns=st.sampled_from([0, 100_000]),
    steps=steps,
)
def test_every_chunk_is_done_once_whatever_the_order_of_events(
    workers: int, caller_works: bool, spin_ns: int, steps: Any
) -> None:
    team = Interpreted(workers, caller_works or workers == 0, spin_ns)
    commands = 0
    try:
        for (length, size, shift), kind, said, failing in steps:
            for _ in range(said):
                team.command()
            commands += said
            shift = min(shift, max(length - 1, 0))
            team.failing = set(failing)
            team.run(length, size, shift, kind == "static", kind == "adapts")
            edges = range(-shift, max(length, 1 - shift), size)
            all_chunks = [(max(e, 0), min(e + size, length)) for e in edges]
            assert len(set(team.calls)) == len(team.calls)
            if kind == "adapts":
                check_covered(team, length, {begin for begin, _ in all_chunks})
                continue
            if team.failing.isdisjoint(begin for begin, _ in all_chunks):
                assert sorted(team.calls) == all_chunks
                assert team.done() == length
                assert team.raised == []
                assert team.control[at.CANCEL] == 0
            else:
                assert set(team.calls) <= set(all_chunks)
                until(lambda: team.undone() == 0)
                assert 1 <= len(team.raised) <= len(failing)
                assert team.control[at.CANCEL] == 1
        first = team.members - workers
        until(lambda: team.obeyed[first:] == [commands] * workers)
    finally:
        team.stop()
    assert team.control[at.SLEEPERS] == 0


def test_sleepers_are_woken_for_each_run() -> None:
    team = Interpreted(2, False, 0)
    try:
        for n in range(1, 20):
            until(lambda: team.control[at.SLEEPERS] == 2)
            team.run(n, 1, 0, n % 2 == 0)
            assert sorted(team.calls) == [(i, i + 1) for i in range(n)]
    finally:
        team.stop()


def test_whoever_comes_late_finds_the_gate_closed() -> None:
    team = Interpreted(1, True, 0)
    try:
        until(lambda: team.control[at.SLEEPERS] == 1)
        for _ in range(20):
            team.run(1, 1, 0, False)  # the caller does it alone, and wakes nobody
            assert team.calls == [(0, 1)]
            assert team.control[at.SLEEPERS] == 1
        # It wakes up for a run that is over.
        atomic.store(team.control, at.BELL, team.bell)
        futex_wake(team.control, at.BELL, at.EVERYBODY)
        until(lambda: team.control[at.SLEEPERS] == 1)
        assert team.calls == [(0, 1)]
        assert team.control[at.member(1) + at.INSIDE] == 0
    finally:
        team.stop()


def test_messages_come_before_the_run_that_was_opened_after_them() -> None:
    team = Interpreted(1, False, 0)
    control = team.control
    try:
        until(lambda: control[at.SLEEPERS] == 1)
        order: list[str] = []
        team.failing = {0}
        kernel, team.kernel = team.kernel, None  # type: ignore[assignment, method-assign]
        team._entry = ENTRY_TYPE(lambda *words: order.append("run") or kernel(*words))
        team.programs[0] = entry_address(team._entry)
        obeyed = team.obeyed
        team.obeyed = Noting(obeyed, order)
        control[at.COMMANDS] += 1
        atomic.store(control, at.BELL, team.ring())  # it does not wake up yet
        team.run(1, 1, 0, False)
        until(lambda: len(order) == 2)
    finally:
        team.stop()
    assert order == ["command", "run"]


class Noting(list[int]):
    """A list that records its changes."""

    def __init__(self, values: list[int], order: list[str]) -> None:
        super().__init__(values)
        self._order = order

    def __setitem__(self, key: Any, value: Any) -> None:
        self._order.append("command")
        super().__setitem__(key, value)
