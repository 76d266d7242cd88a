"""`installed` leaves a process as it found it, whatever happens in its block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from multiprocessing import connection, process, queues, reduction
from typing import Any
from unittest import mock

import loky.backend.queues
import numpy as np
import pytest

import sharray as sh
from sharray.passing.hooks import registry
from sharray.passing.options import State


def state() -> Any:
    return (
        (State.options, State.decided, State.warned),
        registry.hooked_packages(),
        connection.Connection.send,
        connection.Connection.__dict__.get("send_bytes"),
        queues._ForkingPickler,  # type: ignore[attr-defined]
        reduction.dump,
        process.BaseProcess.join,
        loky.backend.queues.dumps,
    )


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    sh.uninstall()
    State.decided = State.warned = False
    yield
    sh.uninstall()


def _never() -> None:
    pass


def _warned() -> None:
    sh.install(threshold=7)
    State.warned = True


def _without_loky() -> None:
    sh.install()
    registry.set_hooks_of({"multiprocessing"})


def _uninstall_and_fail() -> None:
    with sh.installed(), sh.installed(threshold=4):
        sh.uninstall()
        raise ZeroDivisionError


BEFORE = [_never, sh.install, sh.uninstall, _warned, _without_loky]
INSIDE = [_never, sh.install, sh.uninstall, _warned]


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("before", BEFORE)
def test_all_is_as_before(
    before: Callable[[], None], inside: Callable[[], None]
) -> None:
    before()
    found = state()
    with sh.installed(threshold=3):
        inside()
        middle = state()
        with sh.installed(threshold=4, budget=5):
            assert State.options == (4, 5)
            inside()
        assert state() == middle
    assert state() == found


@pytest.mark.parametrize("before", BEFORE)
def test_all_is_as_before_after_an_exception(before: Callable[[], None]) -> None:
    before()
    found = state()
    with pytest.raises(ZeroDivisionError):
        _uninstall_and_fail()
    assert state() == found
    with pytest.raises(TypeError), sh.installed(threshold="x"):  # type: ignore[arg-type]
        pass
    assert state() == found


def test_what_others_have_put_over_a_hook_stays() -> None:
    original = connection.Connection.send
    seen = []
    with sh.installed(threshold=0):
        ours = connection.Connection.send

        def send(self: Any, obj: Any) -> None:
            seen.append(obj)
            ours(self, obj)

        patch = mock.patch.object(connection.Connection, "send", send)
        patch.start()
    assert connection.Connection.send is send
    reader, writer = connection.Pipe(False)
    with reader, writer:
        writer.send("plain")
        assert (seen, reader.recv()) == (["plain"], "plain")
        with sh.installed(threshold=0):  # with theirs between two of ours
            writer.send(np.arange(4))
            assert reader.recv().tolist() == [0, 1, 2, 3]
        assert connection.Connection.send is send
        patch.stop()
        sh.install()
        sh.uninstall()
    assert connection.Connection.send is original


def test_what_others_had_put_before_is_put_back() -> None:
    with mock.patch.object(reduction, "dump", return_value=None) as theirs:
        with sh.installed():
            assert reduction.dump is not theirs
        assert reduction.dump is theirs
