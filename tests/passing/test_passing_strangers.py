"""Messages that are sent on, and processes without sharray."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import numpy as np
import pytest
from passing_objects import forget_messages
from passing_pressure import checksum, is_in_shared_memory, payload, sent

import sharray as sh
from sharray.system import marks

LARGE = 400_000


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with sh.installed():
        yield
    forget_messages()


def passed_on(raw: bytes) -> bytes:
    """Return the bytes that the next reader gets."""
    found = []
    reader, writer = multiprocessing.Pipe()
    with reader, writer:
        process = multiprocessing.get_context("fork").Process(
            target=_receive, args=(reader, path := Path(f"got{len(raw)}"))
        )
        process.start()
        writer.send_bytes(raw)
        process.join(60)
        found.append(path.read_bytes())
    return found[0]


def _receive(reader: Connection, path: Path) -> None:
    path.write_bytes(reader.recv_bytes())


@pytest.mark.parametrize("nbytes", [LARGE, 140_000])
def test_a_raw_message_can_be_sent_on_to_any_number_of_readers(nbytes: int) -> None:
    x = payload(1, nbytes)
    raw = sent({"array": x, "bytes": b"b" * 200_000, "again": x})
    for _ in range(3):
        found = pickle.loads(passed_on(raw))
        assert checksum(found["array"]) == checksum(x)
        assert found["bytes"] == b"b" * 200_000
        assert found["array"] is found["again"]
        found["array"][...] = 0
        assert found["array"].flags.writeable


def test_what_was_opened_already_is_refused_where_it_is_sent_on() -> None:
    raw = sent(payload(1))
    pickle.loads(raw)
    reader, writer = multiprocessing.Pipe()
    with reader, writer, pytest.raises(sh.MessageError, match="received before"):
        writer.send_bytes(raw)


def test_a_pickle_without_arrays_is_sent_on_as_pickle_writes_it() -> None:
    obj = [b"x" * 300_000]
    raw = sent(obj)
    assert len(raw) < 1000
    assert passed_on(raw) == bytes(pickle.dumps(obj))


@pytest.mark.parametrize("data", [b"", b"short", bytes(100), b"\x80\x05\x95" * 40])
def test_other_bytes_are_sent_as_they_are(data: bytes) -> None:
    reader, writer = multiprocessing.Pipe()
    with reader, writer:
        writer.send_bytes(data)
        writer.send_bytes(memoryview(data + b"12345678")[: len(data)])
        assert reader.recv_bytes() == reader.recv_bytes() == data


STRANGER = """
import sys
sys.modules["sharray"] = None
from multiprocessing.connection import Client, Listener

if sys.argv[1] == "client":
    with Client(sys.argv[2]) as connection:
        x = connection.recv()
        connection.send(x + 1)
else:
    with Listener(sys.argv[2], "AF_UNIX") as listener:
        print("ready", flush=True)
        with listener.accept() as connection:
            x = connection.recv()
            connection.send(x + 1)
"""


def start_stranger(*arguments: str) -> subprocess.Popen[bytes]:
    Path("stranger.py").write_text(STRANGER)
    return subprocess.Popen(
        [sys.executable, "stranger.py", *arguments], stdout=subprocess.PIPE
    )


def test_a_client_without_sharray_gets_values() -> None:
    with Listener("socket", "AF_UNIX") as listener:
        process = start_stranger("client", "socket")
        with listener.accept() as connection:
            connection.send(payload(1))
            assert checksum(connection.recv()) == checksum(payload(1) + 1)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_listener_without_sharray_gets_values() -> None:
    process = start_stranger("listener", "socket")
    assert process.stdout is not None
    process.stdout.readline()
    with Client("socket", "AF_UNIX") as connection:
        connection.send(payload(1))
        assert checksum(connection.recv()) == checksum(payload(1) + 1)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_within_a_process_a_named_socket_has_shared_memory() -> None:
    assert marks.has_mark(os.getpid())
    with Listener("socket", "AF_UNIX") as listener:
        client = Client("socket", "AF_UNIX")
        with listener.accept() as server, client:
            for writer, reader in ((client, server), (server, client)):
                writer.send(payload(1, LARGE))
                found = reader.recv()
                assert is_in_shared_memory(found)
                np.testing.assert_array_equal(found, payload(1, LARGE))


def test_programs_have_no_mark() -> None:
    assert not marks.has_mark(1 << 22)
    code = "import os; print(os.getpid(), flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert not marks.has_mark(int(process.stdout.readline()))
    process.communicate(b"\n", timeout=60)
