"""Processes that change their user, or have nothing left to send with."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import passing_pressure as pressure
import pytest
from passing_pressure import checksum, payload, sent

import sharray as sh
from sharray.storage import ending
from sharray.storage.messages import outbox, privileges
from sharray.system import files

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to be others")
NOBODY = 65534


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with sh.installed():
        yield
    pressure.forget_outbox()
    sh.gc()


class _NoImports:
    """A finder that makes all imports fail."""

    def find_spec(self, name: str, *_: Any) -> None:
        raise ImportError(f"{name} cannot be read")


def drop_privileges() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    sys.meta_path.insert(0, _NoImports())  # type: ignore[arg-type]
    warnings.simplefilter("ignore")  # that messages go through the pipe


def answer_as_nobody(pipe: Any, ready: Any, go: Any) -> None:
    """Drop privileges while messages are on their way, then send all of them back."""
    ready.set()
    go.wait()
    drop_privileges()
    for _ in range(6):
        pipe.send(pipe.recv() + 1)
    pipe.close()


@needs_root
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_that_drops_its_privileges_gets_all_messages(method: str) -> None:
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    ready, go = context.Event(), context.Event()
    process = context.Process(target=answer_as_nobody, args=(there, ready, go))
    process.start()
    there.close()
    assert ready.wait(60)
    objects = [payload(i, n) for i, n in enumerate([200_000, 400_000] * 3)]
    for obj in objects[:3]:
        here.send(obj)
    go.set()
    for number, obj in enumerate(objects):
        if number >= 3:
            here.send(obj)
        assert here.poll(60)
        assert checksum(here.recv()) == checksum(obj + 1)
    process.join(60)
    here.close()
    assert process.exitcode == 0
    # Nobody of another user is left: messages take the fast way again.
    message = sent(payload(1))
    assert b"open_message" in message
    pickle.loads(message)


def add_one(x: Any) -> Any:
    return x + 1


@needs_root
def test_a_pool_of_workers_without_privileges() -> None:
    objects = [payload(i) for i in range(12)]
    with multiprocessing.get_context("fork").Pool(2, drop_privileges) as pool:
        found = pool.map_async(add_one, objects, 1).get(60)
        again = pool.map_async(add_one, objects, 1).get(60)
        pool.close()
        pool.join()
    for x, y, obj in zip(found, again, objects, strict=True):
        assert checksum(x) == checksum(y) == checksum(obj + 1)


def hold_as_nobody(pipe: Any) -> None:
    """Fork with a received array whose file this user may not remove."""
    x = pipe.recv()
    drop_privileges()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    pipe.send(None)
    pipe.recv()
    pipe.send(checksum(x))


@needs_root
def test_a_received_array_stays_after_a_fork_without_privileges() -> None:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=hold_as_nobody, args=(there,))
    process.start()
    there.close()
    here.send(payload(1))
    assert here.poll(60)
    here.recv()
    for seed in range(2, 6):
        pickle.loads(sent(payload(seed)))
    here.send(None)
    assert here.recv() == checksum(payload(1))
    process.join(60)
    here.close()


@needs_root
def test_staying_root_changes_nothing() -> None:
    os.seteuid(0)
    assert not privileges.must_use_pipe()
    os.seteuid(NOBODY)
    os.seteuid(0)
    assert privileges.must_use_pipe()
    assert b"open_message" not in sent(payload(1))
    privileges.withdraw()
    assert not privileges.must_use_pipe()


def test_the_functions_that_change_users_pickle_as_ever() -> None:
    name = pickle.dumps(os.setuid)
    sh.uninstall()
    assert pickle.dumps(os.setuid) == name


@pytest.mark.parametrize("error", [OSError(24, "none left"), ImportError("limits")])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (outbox, "take"),
        (ending, "keep"),
        (files, "open_existing"),
        (files, "write_all_at"),
        (np, "copyto"),
    ],
)
def test_whatever_fails_on_the_way_the_message_is_pickled(
    owner: Any, name: str, error: Exception
) -> None:
    pressure.forget_outbox()
    if owner is np:  # a new file is made with the arrays
        pickle.loads(sent(payload(2)))
    with (
        mock.patch.object(owner, name, side_effect=error),
        pytest.warns(RuntimeWarning, match="no shared memory"),
    ):
        message = sent(payload(1))
    assert checksum(pickle.loads(message)) == checksum(payload(1))
    message = sent(payload(1))  # the next one is not
    assert b"open_message" in message
    pickle.loads(message)
