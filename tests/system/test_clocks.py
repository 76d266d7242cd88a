"""Nothing that sends, receives, makes or ends arrays depends on a program's clocks."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import time
from collections.abc import Iterator
from unittest import mock

import freezegun
import numpy as np
import pytest
from passing_ends import in_a_fork
from passing_objects import forget_messages
from passing_pressure import sent

import sharray as sh
from sharray.storage import ending
from sharray.system import clock

NAMES = ["time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep"]


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Make any use of a clock an error, like a mock without values."""
    with contextlib.ExitStack() as stack:
        for name in NAMES:
            patch = mock.patch(f"time.{name}", side_effect=AssertionError("was used"))
            stack.enter_context(patch)
        yield


@contextlib.contextmanager
def stopped() -> Iterator[None]:
    with (
        mock.patch("time.monotonic", return_value=5.0),
        mock.patch("time.time", return_value=5.0),
    ):
        yield


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    with freezegun.freeze_time("2024-02-29"):
        yield


@pytest.fixture(params=[without_values, stopped, frozen], ids=lambda f: f.__name__)
def clocks(request: pytest.FixtureRequest) -> Iterator[None]:
    with request.param():
        yield


@pytest.fixture(autouse=True)
def _forget_messages() -> Iterator[None]:
    yield
    sh.uninstall()
    forget_messages()


def test_a_frozen_clock_goes_on() -> None:
    with freezegun.freeze_time("2024-02-29"):
        assert time.time() == time.time()
        assert clock.time_ns() != time.time_ns()
        first = clock.monotonic_ns()
        while clock.monotonic_ns() == first:
            pass


@pytest.mark.usefixtures("clocks")
@pytest.mark.parametrize("n", [4, 40_000])
def test_unread_messages_need_no_clock(n: int) -> None:
    sh.install(0)
    objects = [np.arange(n) + i for i in range(100)]
    messages = [sent(obj) for obj in objects]
    for message, obj in zip(messages, objects, strict=True):
        np.testing.assert_array_equal(pickle.loads(message), obj)


@pytest.mark.usefixtures("clocks")
def test_arrays_need_no_clock() -> None:
    array = sh.zeros(1000)
    array[...] = pickle.loads(pickle.dumps(array)) + 1
    assert array.sum() == 1000
    named = sh.create("shm://clock", 3)
    assert pickle.loads(pickle.dumps(named)).sum() == 0
    sh.unlink("shm://clock")
    del array, named
    sh.gc()
    # In a child: this process's other arrays, those of test modules, go on.
    in_a_fork(ending.end)


def _double(x: np.ndarray) -> np.ndarray:
    return x * 2


def test_a_pool_works_while_the_clock_is_frozen() -> None:
    sh.install(0)
    fork = multiprocessing.get_context("fork")
    with freezegun.freeze_time("2024-02-29"), fork.Pool(1) as pool:
        found = pool.map_async(_double, [np.arange(4)] * 40, 1).get(60)
        pool.close()
        pool.join()
    assert [x.tolist() for x in found] == [[0, 2, 4, 6]] * 40


def test_no_send_waits_for_a_receiver() -> None:
    sh.install(0)
    with mock.patch.object(clock, "sleep", side_effect=AssertionError("has waited")):
        reader, writer = multiprocessing.Pipe(False)
        with reader, writer:
            for number in range(60):
                writer.send(np.arange(4) + number)
            for number in range(60):
                assert reader.recv()[0] == number
