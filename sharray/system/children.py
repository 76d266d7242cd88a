"""Children that this process has not started itself: see `siblings`.

`Child` has the methods of `subprocess.Popen` that a team needs.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from contextlib import suppress

from . import channels, clock, interrupts
from .thread_locks import Lock

_INTERVAL = 0.001
_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT


class Child:
    """A child of this process, by its number.

    ::

          runs --- ends ---> zombie --- `poll`, `wait`, `kill` ---> returncode

    Invariant: its number is used for signals only as long as it runs or is a zombie.
    Afterwards the number may be that of another process.

    Attributes
    ----------
    pid : int
        Its number.
    returncode : int or None
        None while it runs; minus the signal that ended it, or its exit status. 0 if
        somebody else has waited for it, as for `subprocess.Popen`.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._lock = Lock(reentrant=True)

    def poll(self) -> int | None:
        """Return `returncode`, after a look at the process."""
        if self.returncode is None and self._has_ended():
            # An interrupt after waitpid(2) would lose the status.
            with interrupts.deferred(), self._lock:
                self._take_status()
        return self.returncode

    def _has_ended(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.pid, _ENDED) is not None
        except ChildProcessError:  # somebody else has waited for it
            return True

    def _take_status(self) -> None:
        if self.returncode is not None:  # another thread was faster
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self.returncode = 0
        else:
            if pid == self.pid:
                self.returncode = os.waitstatus_to_exitcode(status)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return `returncode`.

        Raises
        ------
        subprocess.TimeoutExpired
            It still runs.
        """
        until = None if timeout is None else clock.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if until is None else until - clock.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self._sleep(left)
        return code

    def _sleep(self, seconds: float | None) -> None:
        """Sleep until it ends, or the time is over."""
        with interrupts.deferred():  # for the descriptor
            try:
                fd = os.pidfd_open(self.pid)
            except (AttributeError, OSError):  # too old, or nothing to wait for
                clock.sleep(_INTERVAL)
                return
            try:
                with interrupts.allowed():
                    channels.is_ready(fd, select.POLLIN, seconds)
            finally:
                os.close(fd)

    def kill(self) -> None:
        """Kill it, if it still runs."""
        with interrupts.deferred(), self._lock:
            if self.poll() is None:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
