"""Waits for a team that Ctrl-C ends, even if it comes just before they sleep."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
from lost_signals import another_thread_inside, lose_each

import sharray as sh
from sharray.kernels import background
from sharray.notebook import ipython
from sharray.system import channels, interrupts, thread_locks
from sharray.team import futures, members
from sharray.team.futures import Background, RunFuture
from sharray.team.workers import channel as messages
from sharray.team.workers.channel import Channel

pytestmark = pytest.mark.timeout(60)  # without slices, they wait for ever

WAITING = (futures, thread_locks, interrupts)


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "SLICE", 0.001)


@sh.kernel
def nothing(x: object) -> None:
    pass


@pytest.mark.parametrize("seconds", [None, 1e9])
@pytest.mark.parametrize("wait", [RunFuture.result, RunFuture.exception])
def test_the_end_of_a_submitted_run(
    wait: Callable[[RunFuture, float | None], object], seconds: float | None
) -> None:
    future = RunFuture("nothing", lambda: None)
    lose_each(lambda: wait(future, seconds), *WAITING, moments=150)
    future.fulfil(lambda: None)
    assert wait(future, seconds) is None


def test_a_result_that_comes_too_late_or_never() -> None:
    future = RunFuture("nothing", lambda: None)
    for seconds in (0, 0.003):
        with pytest.raises(TimeoutError):
            future.result(seconds)
        with pytest.raises(TimeoutError):
            future.exception(seconds)
    future.cancel()
    with pytest.raises(futures.CancelledError):
        future.result()


def test_the_end_of_a_team() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def act() -> None:
        begun.set()
        go_on.wait()

    background = Background(lambda: None)
    future = background.submit("nothing", act)
    begun.wait()
    lose_each(background.wait, *WAITING, moments=100)
    background.end()
    lose_each(background.join, futures, moments=60)
    go_on.set()
    background.join()
    assert future.result(0) is None


def test_a_team_that_another_thread_uses() -> None:
    x = sh.zeros(10)
    with sh.Team(0) as team:

        def run(wait: Callable[[], object]) -> None:
            team.run(nothing, x, progress=lambda *_: wait())

        run(lambda: None)
        modules = (members, thread_locks, interrupts)
        with another_thread_inside(run):
            lose_each(lambda: team.run(nothing, x), *modules, moments=300)
            lose_each(team.close, *modules, moments=100)
        team.run(nothing, x, timeout=0)


def test_a_message_of_a_worker() -> None:
    here, there = socket.socketpair()
    channel = Channel(here)
    lose_each(channel.receive, messages, channels, moments=150)
    Channel(there).send("ready")
    assert channel.receive() == "ready"
    there.close()
    here.close()


def test_a_message_to_a_worker_that_does_not_read() -> None:
    here, there = socket.socketpair()
    channel, large = Channel(here), bytes(1 << 22)
    lose_each(lambda: channel.send(large), messages, channels, moments=150)
    there.close()
    with pytest.raises(ConnectionError):
        channel.send(large)
    here.close()


def test_a_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipython, "shell", object)
    done = threading.Event()
    compile_ = lambda: background.call("key", done.wait, "nothing")  # noqa: E731
    lose_each(compile_, thread_locks, interrupts, moments=100)
    done.set()
    assert compile_() is True
