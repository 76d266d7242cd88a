"""A family of processes that is killed with messages on their way leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from passing_ends import blocks_in_ram
from torture.remains import wait_for_locks_of

import sharray as sh
from sharray.storage.lifetime import transit
from sharray.system import channels, open_channels

START = """
import multiprocessing, os, sys
import numpy as np
import sharray as sh

sh.install(0)
method, out = sys.argv[1], int(sys.argv[2])
"""
WAIT = """
os.write(1, b"ready")
import signal
signal.pause()
"""
PIPES = """
context = multiprocessing.get_context("fork")
ends = context.Pipe(), context.Pipe(False)[::-1]
for writer, _ in ends:
    writer.send(np.arange(100_000))
"""
QUEUES = """
context = multiprocessing.get_context("fork")
queues = [context.Queue(), context.SimpleQueue()]
def fill():
    for queue in queues:
        queue.put(np.arange(100_000))
        queue.put(np.arange(4))
    signal_ready.set()
    import time
    time.sleep(1000)
signal_ready = context.Event()
child = context.Process(target=fill)
child.start()
signal_ready.wait()
while queues[0].empty():
    pass
"""
NAMED = """
from multiprocessing.connection import Client, Listener
listener = Listener(family="AF_UNIX")
client = Client(listener.address)
server = listener.accept()
client.send(np.arange(100_000))
server.send(np.arange(100_000))
"""
TO_US = """
from multiprocessing.connection import Connection
writer = Connection(out)
writer.send(np.arange(100_000))
"""


def start(code: str, fd: int = 0) -> Any:
    """Start a program in its own process group, and wait until it is ready."""
    Path("family.py").write_text(START + code + WAIT)
    path = str(Path(sh.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "family.py", "fork", str(fd)],
        stdout=subprocess.PIPE,
        pass_fds=[fd] if fd else [],
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert process.stdout is not None
    assert process.stdout.read(5) == b"ready"
    return process


def kill_all(process: Any) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.stdout.read()  # until all of them are gone
    process.stdout.close()
    process.wait()
    wait_for_locks_of(process.pid)


def collect() -> None:
    """Collect what is left; a killed process closes its descriptors one by one."""
    until = time.monotonic() + transit.GRACE / 2
    sh.gc()
    while blocks_in_ram() and time.monotonic() < until:
        time.sleep(0.005)
        sh.gc()


@pytest.mark.parametrize("code", [PIPES, QUEUES, NAMED])
def test_the_next_collection_removes_what_nobody_can_read(code: str) -> None:
    process = start(code)
    assert blocks_in_ram()
    kill_all(process)
    assert transit.GRACE == 60
    collect()
    assert blocks_in_ram() == {}


@pytest.mark.parametrize("duplex", [False, True])
def test_what_somebody_may_read_stays(
    duplex: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = Pipe(duplex)
    process = start(TO_US, writer.fileno())
    writer.close()
    kill_all(process)
    monkeypatch.setattr(transit, "GRACE", 0)
    sh.gc()
    assert len(blocks_in_ram()) == 1
    np.testing.assert_array_equal(reader.recv(), np.arange(100_000))
    assert blocks_in_ram() == {}
    reader.close()


def test_what_nobody_reads_any_more_goes() -> None:
    reader, writer = Pipe(False)
    process = start(TO_US, writer.fileno())
    writer.close()
    reader.close()
    kill_all(process)
    collect()
    assert blocks_in_ram() == {}


def test_in_a_container_time_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(PIPES)
    kill_all(process)
    monkeypatch.setattr(open_channels, "namespace", lambda: 1)
    sh.gc()
    assert blocks_in_ram()
    monkeypatch.setattr(transit, "GRACE", 0)
    sh.gc()
    assert blocks_in_ram() == {}


@pytest.mark.parametrize("duplex", [False, True])
def test_a_channel_is_in_use_until_nobody_can_read_from_it(duplex: bool) -> None:
    reader, writer = Pipe(duplex)
    channel = channels.channel_of(writer.fileno())
    assert channel != 0
    assert open_channels.find().may_have(channel)
    if duplex:
        reader.close()
        assert not open_channels.find().may_have(channel)
        writer.close()
    else:
        writer.close()
        assert open_channels.find().may_have(channel)
        reader.close()
    assert not open_channels.find().may_have(channel)


@pytest.mark.parametrize("related", [True, False])
def test_who_is_of_this_family_and_shows_no_channels_may_have_any(
    monkeypatch: pytest.MonkeyPatch, related: bool
) -> None:
    """Check a process that has changed its user, and still reads messages."""
    never, until = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(until)
        os.read(never, 1)
        os._exit(0)
    hidden = f"/proc/{pid if related else 1}/fd"
    listdir = os.listdir

    def refuse(path: str) -> list[str]:
        if path == hidden:
            raise PermissionError(13, "Permission denied", path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    found = open_channels.find()
    monkeypatch.undo()
    os.close(until)
    os.waitpid(pid, 0)
    os.close(never)
    assert found.is_complete is not related
    assert found.may_have(-1) is related


def test_other_files_are_no_channels(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        assert channels.channel_of(file.fileno()) == 0
    assert channels.channel_of(-1) == 0
