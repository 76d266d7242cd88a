"""One worker process: start it, exchange messages, and see how it ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ...errors import TeamError
from ...native import atomic
from ..control import layout as at
from ..control.page import ControlBlock
from ..functions import threads
from ..functions.sending import Body, search_path
from . import fork_server
from .channel import Channel
from .fork_server import ForkServer

START_METHODS = ("spawn",)
_START_SECONDS = 120
_ANSWER_SECONDS = 600  # a worker may have to compile
_CODE = (
    "import sys; sys.path[:] = {path!r}; from sharray.team.workers.main import main; "
    "main({control}, {channel}, {parent})"
)


class WorkerGone(Exception):  # noqa: N818  # never leaves the package
    """The worker process has ended."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self.worker = worker


class Worker:
    """One worker process, as seen from the team's process.

    The process starts at once. Call `greet` and `wait_until_ready` before anything
    else. Make and end a worker while signals are deferred, so that no process or
    descriptor is lost.

    Parameters
    ----------
    member : int
        Its number in the team.
    control_fd : int
        Descriptor of the control block.
    control : ControlBlock
        The control block.
    words : list of bytes
        Arguments that tell people which worker it is.
    server : ForkServer or None
        The process to fork it; otherwise, or if that fails, it is a new interpreter.
    """

    def __init__(
        self,
        member: int,
        control_fd: int,
        control: ControlBlock,
        words: list[bytes],
        server: ForkServer | None,
    ) -> None:
        self.member = member
        self.programs: set[int] = set()
        self.segments: set[int] = set()
        self.call: Body | None = None  # the call of a function that it has
        self.offered: set[int] = set()  # segments that it has, or may have
        self._member = member
        self._first_word = at.member(member)
        self._control = control
        self._unread = 0
        here, there = socket.socketpair()
        # Close the worker's end here: its death then closes the channel.
        with there:
            descriptors = control_fd, there.fileno()
            try:
                forked = server and server.fork(words, descriptors)
                process = forked or self._started(words, descriptors)
            except BaseException:
                here.close()
                raise
        self._process = process
        self._channel = Channel(here, lambda: process.poll() is not None)

    def _started(
        self, words: list[bytes], descriptors: tuple[int, int]
    ) -> subprocess.Popen[bytes]:
        control, channel = descriptors
        code = _CODE.format(
            path=[fork_server.PACKAGE_PARENT, *search_path()],
            control=control,
            channel=channel,
            parent=os.getpid(),
        )
        environment = threads.environment(at.members(len(self._control.words)))
        return fork_server.start_interpreter(code, words, descriptors, environment)

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    def greet(self, members: int, spin_ns: int, code: Any) -> None:
        """Send the first message: its number, and the code of `serve`."""
        with self._starting():
            self._send((self.member, members, spin_ns, code))

    def wait_until_ready(self) -> None:
        """Wait until the worker is ready to serve."""
        with self._starting():
            self._receive(_START_SECONDS)

    @contextmanager
    def _starting(self) -> Iterator[None]:
        try:
            yield
        except (WorkerGone, TimeoutError) as error:
            self.kill()
            raise TeamError(
                f"a worker process did not start ({self.how_it_ended()}); check its "
                "output on the standard error, and that sys.path has sharray, numpy "
                "and llvmlite"
            ) from error

    # -- messages ------------------------------------------------------------

    def announce(self) -> None:
        """Mark the channel in doubt, until the message that follows is sent."""
        self._channel.in_doubt = True

    def request(self, commands: list[tuple[Any, ...]]) -> None:
        """Send commands; ring the bell first."""
        self._send(commands)
        self._unread += 1

    def answers(self, timeout: float = _ANSWER_SECONDS) -> list[Any]:
        """Return an error or a value for each command of the last message.

        Answers to earlier messages are read first, and dropped.
        """
        found: list[Any] = []
        while self._unread:
            found = self._receive(timeout)
            self._unread -= 1
        return found

    def sent(self, timeout: float = _ANSWER_SECONDS) -> Any:
        """Return the failure of its kernel, or what it has gathered, once."""
        # Answers first: they were sent before it.
        self.answers(timeout)
        found = self._receive(timeout)
        # Only after it was read. After an interrupt before this, RAISED still
        # says that there is one to read.
        self._control.words[self._first_word + at.RAISED] = 0
        return found

    @property
    def is_in_sync(self) -> bool:
        """Return whether both sides agree where the next message begins."""
        return not self._channel.in_doubt

    def _send(self, message: object) -> None:
        try:
            self._channel.send(message)
        except OSError as error:
            raise WorkerGone(self) from error

    def _receive(self, timeout: float) -> Any:
        try:
            return self._channel.receive(timeout)
        except (EOFError, ConnectionError) as error:
            raise WorkerGone(self) from error

    # -- its end -------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None

    def is_inside(self, run: int) -> bool:
        """Return whether the worker takes part in a run, or is about to."""
        return run != 0 and self._control.words[self._first_word + at.INSIDE] == run

    @property
    def chunk(self) -> tuple[int, int]:
        """Return begin and end of the chunk that it works on, or did last."""
        return self._control.chunk(self._member)

    @property
    def has_array(self) -> bool:
        """Return whether its kernel returned an array in the last run."""
        return self._control.words[self._first_word + at.OUTCOME] != 0

    @property
    def has_raised(self) -> bool:
        """Return whether a chunk of it raised in the last run."""
        return self._control.words[self._first_word + at.RAISED] == 1

    @property
    def has_sent(self) -> bool:
        """Return whether it has sent a failure or values that were not read yet."""
        return self._control.words[self._first_word + at.RAISED] != 0

    def signal_name(self) -> str | None:
        """Return the signal that ended it; None if it ended by itself."""
        code = self._process.returncode
        if code is None or code >= 0:
            return None
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    def how_it_ended(self) -> str:
        """Return how the process ended, in words."""
        code = self._process.poll()
        if code is None:
            return "it still runs"
        name = self.signal_name()
        return f"ended by {name}" if name else f"ended with exit code {code}"

    def kill(self) -> None:
        """Kill the process, and clear its words."""
        self._process.kill()
        self._process.wait()
        self.forget()

    def wait_for_end(self, timeout: float) -> None:
        """Wait for the process to end, after STOP and the bell."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def disown(self) -> None:
        """Forget the process in a forked child of the team's process."""
        self._process.returncode = 0  # so that `Popen` neither waits for it nor warns
        self._channel.close()

    def forget(self) -> None:
        """Clear the words of an ended worker in the control block."""
        words = self._control.words
        # ASLEEP is set only while the worker counts in SLEEPERS: see `protocol._sleep`.
        if words[self._first_word + at.ASLEEP]:
            atomic.sub(self._control.array, at.SLEEPERS, 1)
        for word in (at.ASLEEP, at.INSIDE, at.RAISED, at.BLOCK):
            words[self._first_word + word] = 0
        self._channel.close()
