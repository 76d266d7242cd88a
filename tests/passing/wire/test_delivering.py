"""Messages between the pickler of a queue and its pipe."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from multiprocessing import queues
from typing import Any

import numpy as np
import passing_pressure as pressure
import pytest

import sharray as sh
from sharray.passing.options import State
from sharray.passing.wire.delivering import Parcel
from sharray.passing.wire.sending import write

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with sh.installed(threshold=1000):
        yield


def payload(first: int) -> np.ndarray[Any, Any]:
    return np.arange(first, first + 100_000)


class _PutsAnother:
    """An object that puts an array into another queue while it is pickled."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __reduce__(self) -> Any:
        self._queue.put(payload(1))
        return str, ("outer",)


def test_a_put_within_a_put_loses_no_message() -> None:
    outer, inner = FORK.SimpleQueue(), FORK.SimpleQueue()
    outer.put([payload(0), _PutsAnother(inner)])
    first, text = outer.get()
    second = inner.get()
    assert text == "outer"
    for found, expected in ((first, payload(0)), (second, payload(1))):
        assert pressure.is_in_shared_memory(found)
        np.testing.assert_array_equal(found, expected)


def test_another_thread_may_send_what_one_has_pickled() -> None:
    written = queues._ForkingPickler.dumps(payload(2))  # type: ignore[attr-defined]
    reader, writer = FORK.Pipe(False)
    with reader, writer:
        thread = threading.Thread(target=writer.send_bytes, args=(written,))
        thread.start()
        thread.join()
        found = reader.recv()
    assert pressure.is_in_shared_memory(found)
    np.testing.assert_array_equal(found, payload(2))


@pytest.mark.parametrize("claimed", [True, False])
def test_a_message_that_could_not_leave_takes_no_file_from_another(
    claimed: bool,
) -> None:
    """Check a message whose file another thread has recalled first."""
    reader, writer = FORK.Pipe(False)
    reader.close()
    assert State.options is not None
    message = write(payload(0), State.options)
    outgoing = message.outgoing
    assert outgoing is not None

    def transmit(_: bytes) -> None:
        if claimed:  # as `outbox.take` does in that thread
            outgoing.recall()
            outgoing.claim()
        raise BrokenPipeError

    with writer, pytest.raises(BrokenPipeError):
        message.transmit(writer, transmit)
    assert outgoing.is_being_written() is claimed
    assert outgoing.is_free() is not claimed
    outgoing.recall()


def test_picklers_of_others_write_the_object_itself() -> None:
    assert pickle.loads(pickle.dumps(Parcel({"a": 1}))) == {"a": 1}
