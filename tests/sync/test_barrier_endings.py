"""How a waiter's generation ended, found out after others have ended as well.

A waiter may look late: after its generation was completed, the next one may have been
reset or aborted. `threading.Barrier` says what it gets: its number if all had come,
BrokenBarrierError otherwise.
"""

from __future__ import annotations

import threading
from threading import BrokenBarrierError
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sharray.native import atomic
from sharray.native.waiting import pause
from sharray.sync import barrier_protocol
from sharray.sync.barrier import Barrier

COMPLETE, RESET, ABORT_AND_RESET = "complete", "reset", "abort, reset"
ENDINGS = [COMPLETE, RESET, ABORT_AND_RESET]


def end_generation(barrier: Barrier, ending: str) -> None:
    """End the generation in which one party waits."""
    if ending == COMPLETE:
        assert barrier.wait() == 1
    else:
        if ending == ABORT_AND_RESET:
            barrier.abort()
        barrier.reset()


def arrive(barrier: Barrier) -> None:
    """Come to the barrier, as a party does that is killed while it waits."""
    atomic.add(barrier._cells, barrier_protocol.STATE, barrier_protocol._ARRIVAL)


def wait_while(
    endings: list[str], monkeypatch: pytest.MonkeyPatch, state: int = 0
) -> tuple[Barrier, int]:
    """Wait at a barrier of two, and look again only after all these endings."""
    barrier = Barrier(2)
    barrier._cells[barrier_protocol.STATE] = state

    def end_all() -> None:
        patch.undo()
        for number, ending in enumerate(endings):
            if number:
                arrive(barrier)
            end_generation(barrier, ending)

    with monkeypatch.context() as patch:
        patch.setattr(barrier_protocol, "pause", end_all)
        return barrier, barrier.wait()


@pytest.mark.parametrize("later", ENDINGS)
def test_a_completed_waiter_returns_whatever_ends_the_next_generation(
    later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier, index = wait_while([COMPLETE, later], monkeypatch)
    assert index == 0
    assert (barrier.broken, barrier.n_waiting) == (False, 0)


def test_a_completed_waiter_returns_though_the_next_generation_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    barrier = Barrier(2)

    def complete_and_abort() -> None:
        patch.undo()
        barrier.wait()
        barrier.abort()

    with monkeypatch.context() as patch:
        patch.setattr(barrier_protocol, "pause", complete_and_abort)
        assert barrier.wait() == 0
    assert barrier.broken


NEAR_THE_END = (1 << 32) - 6  # of the generations


@settings(deadline=None)
@given(
    first=st.sampled_from(ENDINGS),
    later=st.lists(st.sampled_from(ENDINGS), max_size=barrier_protocol.REMEMBERED - 1),
    state=st.sampled_from([0, NEAR_THE_END]),
)
@example(first=COMPLETE, later=[RESET] * (barrier_protocol.REMEMBERED - 1), state=0)
@example(first=RESET, later=[COMPLETE] * (barrier_protocol.REMEMBERED - 1), state=0)
def test_only_the_end_of_its_own_generation_counts(
    first: str, later: list[str], state: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if first == COMPLETE:
            assert wait_while([first, *later], patch, state)[1] == 0
        else:
            with pytest.raises(BrokenBarrierError):
                wait_while([first, *later], patch, state)


def test_a_waiter_that_looks_very_late_returns_if_nothing_was_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endings = [COMPLETE] * (3 * barrier_protocol.REMEMBERED)
    assert wait_while(endings, monkeypatch)[1] == 0


@pytest.mark.parametrize("first", ENDINGS)
@pytest.mark.parametrize("later", ENDINGS)
def test_a_waiter_that_looks_too_late_to_know_gets_an_error(
    first: str, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    completed = [COMPLETE] * (2 * barrier_protocol.REMEMBERED)
    endings = [first, later, *completed]
    if first == later == COMPLETE:
        assert wait_while(endings, monkeypatch)[1] == 0
    else:
        with pytest.raises(BrokenBarrierError):
            wait_while(endings, monkeypatch)


def test_a_waiter_that_arrives_within_a_reset_never_takes_it_for_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    barrier, look, found = Barrier(3), threading.Event(), []

    def wait() -> None:
        with pytest.raises(BrokenBarrierError) as error:
            barrier.wait()
        found.append(error.type)

    thread = threading.Thread(target=wait)
    add = atomic.add

    def add_and_let_arrive(*arguments: Any) -> None:
        monkeypatch.setattr(atomic, "add", add)
        add(*arguments)
        thread.start()
        while barrier.n_waiting < 2:
            pause()

    arrive(barrier)
    monkeypatch.setattr(barrier_protocol, "pause", look.wait)
    monkeypatch.setattr(atomic, "add", add_and_let_arrive)
    barrier.reset()
    for _ in range(2 * barrier_protocol.REMEMBERED):
        arrive(barrier)
        arrive(barrier)
        assert barrier.wait() == 2
    look.set()
    thread.join()
    assert found == [BrokenBarrierError]
