"""Child processes, each of which runs a module of this package.

Each child leads a session, so that Ctrl-C reaches only this process, which then ends
its children in order: they remove what their peers keep in RAM.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

_GRACE = 10  # seconds for a child to end in order
_ROOT_PACKAGE = __name__.partition(".")[0]
_ROOT = Path(__file__).parents[2]
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Process = subprocess.Popen[str]


# -- in the child, and in the process of the command -------------------------


@contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block, and clean up.

    Only the first signal counts: later ones must not disturb the clean-up.
    """
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def name_in_ram(session: int = 0) -> str:
    """Return how the names of a session's files in /dev/shm begin."""
    return f"sharray-benchmark-{session or os.getsid(0)}"


# -- in the process of the command -------------------------------------------


@contextmanager
def child(module: str, *arguments: str, **options: Any) -> Iterator[Process]:
    """Run a module while the block runs; end it if the block fails.

    Parameters
    ----------
    module : str
        Its name in this package.
    *arguments : str
        What follows its name on the command line.
    **options
        Of `subprocess.Popen`.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", f"{_ROOT_PACKAGE}.{module}", *arguments],
        cwd=_ROOT,
        text=True,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    except BaseException:
        _end(process)
        raise


def output_of(module: str, *arguments: str, **options: Any) -> str:
    """Run a module and return what it prints."""
    with child(module, *arguments, stdout=subprocess.PIPE, **options) as process:
        printed, _ = process.communicate()
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        return printed


def _end(process: Process) -> None:
    """End a child and its own children; kill those that do not end in time.

    Their resource trackers remove what they leave in RAM, and then end by themselves.
    """
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_GRACE)
    _kill_session(process.pid)
    process.communicate()
    for left in Path("/dev/shm").glob(f"{name_in_ram(process.pid)}*"):
        left.unlink(missing_ok=True)


def _kill_session(session: int) -> None:
    """Kill the processes of a session, but for the resource trackers."""
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with suppress(OSError):  # it has ended by now
            if os.getsid(pid) == session:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"resource_tracker" not in command:
                    os.kill(pid, signal.SIGKILL)
