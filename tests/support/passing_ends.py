"""Programs of processes that send or receive arrays, and then end."""

from __future__ import annotations

import ast
import os
import signal
import threading
import zlib
from collections.abc import Callable
from typing import Any

import belongings
import numpy as np

import sharray as sh
from sharray.storage.lifetime import transit

LARGE = 60_000  # float64 values; the receiver maps the message
SMALL = 20_000  # the receiver copies the message


def checksum(*arrays: Any) -> int:
    """Return a checksum of all elements, which differs for different arrays."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array), found)
    return found


def numbered(number: int, n: int = LARGE) -> Any:
    """Return an array that differs for each number."""
    return np.arange(n) + number * 1e7


def increased(array: Any) -> Any:
    """Add 1 to an array, and return it."""
    array += 1
    return array


def blocks_in_ram() -> dict[str, int]:
    """Return every file in the RAM directory, with the bytes that it takes."""
    top = os.environ["SHARRAY_RAM_DIR"]
    found = {}
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            found[path] = os.stat(path).st_blocks * 512
    return found


def mapped_files() -> list[str]:
    """Return the lines of /proc/self/maps that name files of this test run.

    Not those that modules made when they were imported, before it had a directory.
    """
    with open("/proc/self/maps", encoding="utf-8") as table:
        return [
            line.rstrip() for line in table if os.environ["SHARRAY_RAM_DIR"] in line
        ]


def array_descriptors() -> list[str]:
    """Return the descriptors of this process that refer to files of this test run."""
    ram = os.environ["SHARRAY_RAM_DIR"]
    return [found for found in belongings.open_descriptors() if ram in found]


def started(context: Any, work: Any, *arguments: Any, **options: Any) -> Any:
    """Yield a running process."""
    process = context.Process(target=work, args=arguments, **options)
    process.start()
    return process


def close(*channels: Any) -> None:
    """Close pipes and queues, and end the threads of queues."""
    for channel in channels:
        channel.close()
        if hasattr(channel, "join_thread"):
            channel.join_thread()


def receiver_of(context: Any) -> tuple[Any, Any, Any]:
    """Yield a process of `receive_and_answer`, and the ends to write and to read."""
    reader, writer = context.Pipe(False)
    answers, answer = context.Pipe(False)
    process = started(context, receive_and_answer, reader, answer)
    reader.close()
    answer.close()
    return process, writer, answers


# -- code for other processes -------------------------------------------------


def send_numbered(pipe: Any, count: int, stay: bool = False) -> None:
    """Send arrays, then end, or stay until killed."""
    for number in range(count):
        pipe.send(numbered(number))
    if stay:
        signal.pause()


def put_numbered(queue: Any, count: int) -> None:
    """Put arrays into a queue, and end."""
    for number in range(count):
        queue.put(numbered(number))


def put_by_another(queue: Any, method: str) -> None:
    """Let a child process put arrays into a queue; both end."""
    import multiprocessing

    child = multiprocessing.get_context(method).Process(
        target=put_numbered, args=(queue, 2)
    )
    child.start()
    child.join()


def collect_at_once() -> None:
    """Remove the files that nobody awaits any more, at once."""
    transit.GRACE = transit.OVERFLOW_GRACE = 0
    sh.gc()


def make_numbered(number: int, n: int = LARGE) -> Any:
    """Return an array as the result of a task."""
    return numbered(number, n)


def receive_and_answer(there: Any, back: Any) -> None:
    """Answer each array with its checksum, and keep the last, until None comes."""
    held = None
    while (message := there.recv()) is not None:
        held = message
        del message
        back.send(checksum(held))


def pass_on(source: Any, target: Any, count: int) -> None:
    """Receive arrays and send them to another process, one larger."""
    for _ in range(count):
        array = source.get()
        array += 1
        target.put(array)


def is_wrong(arrays: list[Any], numbers: Any) -> list[bool]:
    """Return for each array whether it differs from `numbered`."""
    return [
        not np.array_equal(array, numbered(number, array.size))
        for array, number in zip(arrays, numbers, strict=True)
    ]


def report_resources(pipe: Any, count: int) -> None:
    """Receive and drop many arrays; then report the resources that are left."""
    for number in range(count):
        assert not any(is_wrong([pipe.recv()], [number]))
        pipe.send(None)
    pipe.send((len(mapped_files()), len(array_descriptors())))
    pipe.recv()


def start_fork(work: Callable[[], Any]) -> Callable[[], Any]:
    """Call a function in a forked child; return a function that waits for its result.

    The child leaves by os._exit.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, repr(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)

    def result() -> Any:
        with open(reader, "rb") as answer:
            text = answer.read().decode()
        os.waitpid(pid, 0)
        return ast.literal_eval(text)

    return result


def in_a_fork(work: Callable[[], Any]) -> Any:
    """Return the result of a function that a forked child calls."""
    return start_fork(work)()


class Sending(threading.Thread):
    """A thread that sends numbered arrays one after the other until it is stopped."""

    def __init__(self, send: Any, first: int, n: int = LARGE) -> None:
        super().__init__()
        self._send = send
        self._first = first
        self._n = n
        self.count = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        """Send until stopped, then send None."""
        while not self.stopped.is_set():
            self._send(numbered(self._first + self.count, self._n))
            self.count += 1
        self._send(None)
