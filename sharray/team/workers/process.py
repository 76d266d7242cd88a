"""Worker processes: starting them, talking to them, seeing how they ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...errors import TeamError
from ...native import atomic
from ..control import layout as at
from ..control.page import ControlBlock
from .channel import Channel

START_METHODS = ("spawn",)
_START_SECONDS = 120
_ANSWER_SECONDS = 600  # a worker may have to compile
_PACKAGE_PARENT = str(Path(__file__).parents[3])
_CODE = (
    "import sys; sys.path[:] = {path!r}; from sharray.team.workers.main import main; "
    "main({control}, {channel}, {parent})"
)
# Workers are many; a pool of threads in each of them would be too many.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}


class WorkerGone(Exception):  # noqa: N818  # never leaves the package
    """The process at the other end has ended."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self.worker = worker


class Worker:
    """One worker process, as seen from the team's process.

    Starts at once; `wait_until_ready` is to be called before anything else. To be made
    and ended while signals are deferred, so that no process or descriptor is lost.

    Parameters
    ----------
    member : int
        Its number in the team.
    control_fd : int
        Descriptor of the control block.
    control : ControlBlock
        The same, mapped.
    """

    def __init__(self, member: int, control_fd: int, control: ControlBlock) -> None:
        self.member = member
        self.programs: set[int] = set()
        self.segments: set[int] = set()
        self._first_word = at.member(member)
        self._control = control
        self._unread = 0
        here, there = socket.socketpair()
        self._channel = Channel(here)
        with there:
            code = _CODE.format(
                path=_search_path(),
                control=control_fd,
                channel=there.fileno(),
                parent=os.getpid(),
            )
            try:
                self._process = _start(code, (control_fd, there.fileno()))
            except BaseException:
                self._channel.close()
                raise

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def greet(self, members: int, spin_ns: int, code: Any) -> None:
        """Tell it what it needs to begin."""
        with self._starting():
            self._send((self.member, members, spin_ns, code))

    def wait_until_ready(self) -> None:
        """Wait until it serves."""
        with self._starting():
            self._receive(_START_SECONDS)

    @contextmanager
    def _starting(self) -> Iterator[None]:
        try:
            yield
        except (WorkerGone, TimeoutError) as error:
            self.kill()
            raise TeamError(
                f"a worker process did not start ({self.how_it_ended()}); look at what "
                "it wrote to the standard error, and whether Python's path there has "
                "sharray, numpy and llvmlite"
            ) from error

    # -- messages ------------------------------------------------------------

    def announce(self) -> None:
        """Note that it is about to wait for a message, until that is sent."""
        self._channel.in_doubt = True

    def request(self, commands: list[tuple[Any, ...]]) -> None:
        """Send commands; the bell must have been rung."""
        self._send(commands)
        self._unread += 1

    def answers(self, timeout: float = _ANSWER_SECONDS) -> list[Exception | None]:
        """What became of the commands that were sent last."""
        found: list[Exception | None] = []
        while self._unread:
            found = self._receive(timeout)
            self._unread -= 1
        return found

    def failure(self, timeout: float = _ANSWER_SECONDS) -> Any:
        """What its kernel raised; once."""
        self.answers(timeout)
        found = self._receive(timeout)
        # Behind it: a failure that was not read is still to come, for the next that
        # asks.
        self._control.words[self._first_word + at.RAISED] = 0
        return found

    @property
    def is_in_sync(self) -> bool:
        """Whether both sides agree where a message begins."""
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
        """Whether the process is gone."""
        return self._process.poll() is not None

    def is_inside(self, run: int) -> bool:
        """Whether it takes part in a run, or is about to."""
        return run != 0 and self._control.words[self._first_word + at.INSIDE] == run

    @property
    def chunk(self) -> int:
        """The chunk that it works on, or did last."""
        return self._control.words[self._first_word + at.CURRENT]

    @property
    def has_raised(self) -> bool:
        """Whether its kernel raised in the last run."""
        return self._control.words[self._first_word + at.RAISED] != 0

    def signal_name(self) -> str | None:
        """The signal that ended it; None if it ended by itself."""
        code = self._process.returncode
        if code is None or code >= 0:
            return None
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    def how_it_ended(self) -> str:
        """The same in words."""
        code = self._process.poll()
        if code is None:
            return "it still runs"
        name = self.signal_name()
        return f"ended by {name}" if name else f"ended with exit code {code}"

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self.forget()

    def wait_for_end(self, timeout: float) -> None:
        """Wait for it to end, which it was told to."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def disown(self) -> None:
        """Let go of it in a fork of the team's process, which is not its parent."""
        self._process.returncode = 0  # so that nobody waits for it, or warns
        self._channel.close()

    def forget(self) -> None:
        """Clear away what it has left in the control block."""
        words = self._control.words
        # ASLEEP is only set while the worker counts in SLEEPERS: see `protocol._sleep`.
        if words[self._first_word + at.ASLEEP]:
            atomic.sub(self._control.array, at.SLEEPERS, 1)
        for word in (at.ASLEEP, at.INSIDE, at.RAISED):
            words[self._first_word + word] = 0
        self._channel.close()


def _search_path() -> list[str]:
    """Return the directories in which a worker looks for modules.

    ``sys.path`` may hold anything: Python itself passes over entries that are not
    strings, and libraries put `pathlib.Path` objects there.
    """
    entries = [_PACKAGE_PARENT, *sys.path]
    return [
        os.fsdecode(entry)
        for entry in entries
        if isinstance(entry, (str, bytes, os.PathLike))
    ]


def _start(code: str, inherited: tuple[int, ...]) -> subprocess.Popen[bytes]:
    # -I, -S: nothing from the environment, the current directory or site-packages
    # changes what is run; the path comes from this process.
    flags = ["-I", "-S"] + ["-B"] * sys.dont_write_bytecode
    # A process group of its own: Ctrl-C in a terminal is for the team's process.
    try:
        return subprocess.Popen(
            [sys.executable, *flags, "-c", code],
            stdin=subprocess.DEVNULL,
            pass_fds=inherited,
            env=_ENVIRONMENT | os.environ,
            process_group=0,
        )
    except OSError as error:
        raise TeamError(
            f"cannot start a worker process with sys.executable, {sys.executable!r}: "
            f"{error}; it has to name a Python interpreter"
        ) from error
