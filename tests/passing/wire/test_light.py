"""Workers import NumPy with the first array, and not before."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import passing_pressure as pressure
import pytest
import tasks_without_numpy as tasks
import workers
from passing_tasks import bases

import sharray as sh
from sharray.passing.options import Options
from sharray.passing.wire import light, receiving, sending

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to be others")
NOBODY = 65534
METHODS = ["spawn", "forkserver"]
LARGE = np.arange(400_000.0)


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with sh.installed():
        yield
    pressure.forget_outbox()
    sh.gc()


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_of_a_pool_imports_numpy_with_its_first_array(method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(tasks.is_installed)
        assert pool.map(tasks.has_numpy, range(3)) == [False] * 3
        assert pool.apply(tasks.send_back, ([None, "text"],)) == [None, "text"]
        assert not pool.apply(tasks.has_numpy)
        found = pool.apply(tasks.send_back, (LARGE,))
        assert "Received" in bases(found)
        assert np.array_equal(found, LARGE)
        assert pool.apply(tasks.has_numpy)
        pool.close()
        pool.join()


PROGRAM = """
import multiprocessing, sys
import sharray as sh

def has_numpy():
    return "numpy" in sys.modules

def total(array):
    return float(sh.zeros(3).sum() + array.sum())

if __name__ == "__main__":
    sh.install()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(has_numpy), pool.apply(total, (sh.ones(3),)))
        pool.close()
        pool.join()
"""


def test_the_import_of_sharray_in_the_main_module_needs_no_numpy(
    tmp_path: Path,
) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "3.0"]


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_imports_numpy_before_it_forks(method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert not pool.apply(tasks.has_numpy)
        assert pool.apply(tasks.has_numpy_in_child)
        pool.close()
        pool.join()


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_of_an_executor_imports_numpy_with_its_first_array(
    method: str,
) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, context) as executor:
        assert executor.submit(tasks.is_installed).result()
        assert not executor.submit(tasks.has_numpy).result()
        found = executor.submit(tasks.make_array, len(LARGE)).result()
        assert "Received" in bases(found)
        assert np.array_equal(found, LARGE)


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_receives_and_returns_shared_arrays(method: str) -> None:
    shared = sh.array(LARGE)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert not pool.apply(tasks.has_numpy)
        found = pool.apply(tasks.send_back, (shared,))
        found[0] = 7
        assert shared[0] == 7
        pool.close()
        pool.join()


@pytest.mark.parametrize("method", METHODS)
def test_large_bytes_without_numpy_go_through_shared_memory(method: str) -> None:
    with (
        multiprocessing.get_context(method).Pool(1) as pool,
        mock.patch.object(
            receiving.inbox, "receive", wraps=receiving.inbox.receive
        ) as r,
        mock.patch.object(
            receiving.inbox, "receive_copy", wraps=receiving.inbox.receive_copy
        ) as c,
    ):
        assert not pool.apply(tasks.has_numpy)
        for nbytes in (100_000, 200_000, 3_000_000):
            assert pool.apply(tasks.make_bytes, (nbytes,)) == tasks.make_bytes(nbytes)
        assert r.call_count + c.call_count == 2
        pool.close()
        pool.join()


@needs_root
@pytest.mark.parametrize("method", METHODS)
def test_a_worker_without_numpy_gets_all_messages_as_another_user(method: str) -> None:
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=tasks.answer_as, args=(NOBODY, there))
    process.start()
    there.close()
    assert here.recv() is False
    for obj in (LARGE, b"bytes", LARGE[:100], tasks.make_bytes(300_000)):
        here.send(obj)
        assert here.poll(60)
        assert np.array_equal(here.recv(), obj)
    here.send(None)
    process.join(60)
    here.close()
    assert process.exitcode == 0


def test_messages_are_recognised_by_their_first_bytes() -> None:
    message = sending.write(LARGE, Options())
    assert light.is_message(message.data)
    assert not light.is_message(pickle.dumps(LARGE))
    assert np.array_equal(pickle.loads(message.data), LARGE)


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light, "_sending", None)


def _sent(obj: Any) -> Any:
    """Return what arrives through a pipe."""
    here, there = multiprocessing.Pipe()
    with here, there:
        there.send(obj)
        return here.recv()


@pytest.mark.parametrize("error", [ImportError("no file"), OSError(24, "none left")])
@pytest.mark.usefixtures("nothing_loaded")
def test_messages_are_plain_if_nothing_can_be_imported(error: Exception) -> None:
    small = LARGE[:1000]
    with mock.patch.object(light, "import_module", side_effect=error):
        found = _sent(small)
    assert bases(found) == bases(pickle.loads(pickle.dumps(small)))
    assert np.array_equal(found, small)
    with sh.installed(threshold=0):
        assert "Received" not in bases(_sent(small))  # it is short, and copied
        assert light._sending is sending


@pytest.mark.usefixtures("nothing_loaded")
def test_a_message_within_the_import_is_plain() -> None:
    within = []

    def import_and_send(*arguments: Any) -> Any:
        within.append(_sent([1, LARGE[:10]]))
        return sending

    with mock.patch.object(light, "import_module", import_and_send):
        assert light.load() is sending
    assert within[0][0] == 1
    assert np.array_equal(within[0][1], LARGE[:10])
    assert not light._is_loading


FORK = """
import os, threading
import sharray.passing.wire.light as light
from unittest import mock

begun, go = threading.Event(), threading.Event()

light.State.options = light.Options()

def slowly(*arguments):
    begun.set()
    go.wait()
    for _ in range(100_000):
        pass
    return "sending"

os.register_at_fork(before=go.set)
with mock.patch.object(light, "import_module", slowly):
    thread = threading.Thread(target=light.load)
    thread.start()
    begun.wait()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if light._sending == "sending" and light._lock.acquire(False) else 1)
    thread.join()
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_fork_waits_for_the_import_of_another_thread() -> None:
    assert workers.run_python(FORK).strip() == "0"
