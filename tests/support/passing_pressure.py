"""Code shared by the tests of messages under pressure and their processes."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from belongings import files_in_ram
from repository import PYTHON_PATH

from sharray.passing.options import Options, State
from sharray.passing.wire.receiving import Received
from sharray.passing.wire.sending import write
from sharray.storage.messages import outbox

MIB = 1 << 20
# Large enough that the receiver maps the memory instead of copying it.
HELD = 300_000
_kept: list[Any] = []


def payload(seed: int, nbytes: int = HELD) -> np.ndarray[Any, Any]:
    """Return bytes that differ for each seed."""
    return np.random.default_rng(seed).integers(0, 256, nbytes, np.uint8)


def checksum(x: Any) -> int:
    """Return a checksum of all bytes of an array, in C order."""
    return zlib.crc32(np.ascontiguousarray(x))


def keep(x: Any) -> int:
    """Keep an array until the process ends."""
    _kept.append(x)
    return checksum(x)


def sums_of_kept(_: Any) -> list[int]:
    """Return the current sums of the arrays that `keep` got."""
    return [checksum(x) for x in _kept]


def echo(x: Any) -> Any:
    """Return a copy of an array."""
    return x.copy()


def sent(obj: Any) -> bytes:
    """Return the bytes that would go through the pipe."""
    return bytes(write(obj, State.options or Options()).data)


def passed(obj: Any) -> Any:
    """Return an object after its way through a message, in this process."""
    return pickle.loads(sent(obj))


def is_in_shared_memory(x: Any) -> bool:
    """Return whether a received array is in the memory of its message."""
    while x is not None:
        if isinstance(x, Received):
            return True
        x = x.obj if isinstance(x, memoryview) else getattr(x, "base", None)
    return False


def bytes_in_ram() -> int:
    """Return how much memory these files take."""
    return sum(os.stat(path).st_blocks * 512 for path in files_in_ram())


def limit_descriptors(most: int = 40) -> None:
    """Limit the number of descriptors of this process."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def answer_with_twice(connection: Connection) -> None:
    """Send back the double of each array, holding neither."""
    while True:
        x = connection.recv()
        if x is None:
            return
        double = x * 2
        del x
        connection.send(double)
        del double


def answer_in_threads(connections: list[Connection]) -> None:
    """Start a thread for each connection, which sends all messages back."""
    sys.setswitchinterval(1e-6)
    threads = [
        threading.Thread(target=answer_with_twice, args=(c,)) for c in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def send_with_few_descriptors(connection: Connection, count: int) -> None:
    """Send arrays to a receiver that holds all of them."""
    limit_descriptors()
    for seed in range(count):
        connection.send(payload(seed))


def receive_with_few_descriptors(connection: Connection, count: int) -> None:
    """Receive and hold arrays, then send their checksums."""
    limit_descriptors()
    held = [connection.recv() for _ in range(count)]
    connection.send([checksum(x) for x in held])


def forget_outbox() -> None:
    """Forget all files to send in, even those with unread messages."""
    while outbox._outgoing:
        outbox._outgoing.pop().close()


def start_program(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program from a file, which spawn needs, with a timeout."""
    path = Path("pressed.py")
    path.write_text(code)
    return subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": PYTHON_PATH} | environment,
        timeout=500,
        check=False,
    )


@contextmanager
def warnings_counted() -> Iterator[list[warnings.WarningMessage]]:
    """Yield a list of all warnings, even repeated ones."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found


class Unloadable:
    """An object that cannot be unpickled."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise RuntimeError("refused")
