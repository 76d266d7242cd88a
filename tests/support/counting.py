"""The cost of operations on n arrays, in counts that do not depend on machine load.

The program counts lines of Python, calls of C functions, and reads of tables that grow
with the mappings or descriptors of a process. It prints the counts of each operation
as JSON.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow

import sharray as sh
from sharray.passing.options import Options
from sharray.passing.wire import sending
from sharray.storage import ending, location
from sharray.storage.inspection import inspector
from sharray.system import mappings

# Large enough for `shared_bytes` to be searched.
SHAPE = 100


class Counts:
    """Counts of the steps of this thread, by operation."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}  # lines and calls
        self.looks: dict[str, int] = {}  # reads of tables of one or all processes
        self._number = self._looked = 0
        own = "/proc/self", f"/proc/{os.getpid()}"
        tables = {
            f"{place}/{name}" for place in own for name in ("maps", "smaps", "fd")
        }
        tables.add("/proc")

        def note(event: str, arguments: Any) -> None:
            if event in ("open", "os.listdir", "os.scandir") and arguments[0] in tables:
                self._looked += 1

        sys.addaudithook(note)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count while the block runs."""
        self._number = self._looked = 0
        sys.setprofile(self._profile)
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)
            sys.setprofile(None)
            self.steps[name] = self._number
            self.looks[name] = self._looked

    def _profile(self, frame: Any, event: str, argument: Any) -> None:
        self._number += event == "c_call"

    def _trace(self, frame: Any, event: str, argument: Any) -> Callable[..., Any]:
        self._number += event == "line"
        return self._trace


class Table(bytes):
    """A table of a process that counts the searches in all tables."""

    searches = 0

    def __contains__(self, mark: Any) -> bool:
        Table.searches += 1
        return super().__contains__(mark)


def main(n: int, directory: str) -> None:
    """Count all operations on n arrays; put files on the disk into a directory."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.disable()
    ending._SWEEP_INTERVAL = float("inf")
    sh.zeros(1)  # do the work of the first call now
    counts = Counts()
    with counts.of("make"):
        arrays = [sh.zeros(SHAPE) for _ in range(n)]
    with counts.of("send"):
        handles = [pickle.dumps(array) for array in arrays]
    with counts.of("receive"):
        again = [pickle.loads(handle) for handle in handles]
    del again
    # These pickle the memory of an array through another type than an array.
    borrowed = [pyarrow.py_buffer(np.asarray(array)) for array in arrays]
    with counts.of("send memory"):
        message = sending.write(borrowed, Options(1 << 30, None))
    assert len(message.data) < n * 500  # handles only, no values
    del borrowed, message
    with counts.of("list"):
        listed = sh.list()
    # The list may also have the file of the message.
    assert sum(found.shape == (SHAPE,) for found in listed) == n
    read = mappings._read
    mappings._read = lambda pid, name: Table(read(pid, name))
    listed = sh.list()
    mappings._read = read
    assert all(len(one.holders) == 1 for one in listed)
    counts.looks["searches in tables"] = Table.searches
    count_files(counts, n, directory)
    count_other_process(counts, handles)
    with counts.of("sweep"):
        ending.sweep(location.anonymous_directory())
    with counts.of("drop"):
        del arrays[n // 2 :]
    with counts.of("gc"):
        sh.gc()
    with counts.of("end"):
        ending.end()
    print(json.dumps([counts.steps, counts.looks]))


def count_files(counts: Counts, n: int, directory: str) -> None:
    """Count the operations on n arrays on a disk."""
    arrays = [
        sh.create(os.path.join(directory, f"{number}.npy"), SHAPE)
        for number in range(n)
    ]
    with counts.of("list files"):
        assert len(sh.list(directory)) == n
    with counts.of("send files"):
        handles = [pickle.dumps(array) for array in arrays]
    del arrays
    with counts.of("receive files"):
        again = [pickle.loads(handle) for handle in handles]
    del again
    places = [
        location.locate(os.path.join(directory, f"{number}.npy")) for number in range(n)
    ]
    with counts.of("inspect each"):
        assert len(inspector.inspect_each(places)) == n


def count_other_process(counts: Counts, handles: list[bytes]) -> None:
    """Count the steps of a process that receives arrays and then ends."""
    code = "import counting; counting.receive_and_end()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=pickle.dumps(handles),
        stdout=subprocess.PIPE,
        check=True,
    )
    steps, looks = json.loads(done.stdout)
    counts.steps |= steps
    counts.looks |= looks


def receive_and_end() -> None:
    """Receive arrays, end, and print the counts."""
    handles = pickle.loads(sys.stdin.buffer.read())
    gc.disable()
    counts = Counts()
    with counts.of("receive elsewhere"):
        arrays = [pickle.loads(handle) for handle in handles]
    with counts.of("end elsewhere"):
        ending.end()
    assert arrays
    assert threading.active_count() == 1
    print(json.dumps([counts.steps, counts.looks]))
