"""Child processes: modules of this package that are run in processes of their own.

Each leads a session, so that Ctrl-C reaches this process only, which then has its
children end in order: they give back what their peers keep in RAM.
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
    """Ctrl-C and SIGTERM end the block, with all that is to be cleaned up.

    Only the first: whatever comes later must not disturb that.
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
    """How the names of all that a session keeps in /dev/shm begin; without, its own."""
    return f"sharray-benchmark-{session or os.getsid(0)}"


# -- in the process of the command -------------------------------------------


@contextmanager
def child(module: str, *arguments: str, **options: Any) -> Iterator[Process]:
    """Run a module while the block runs; if that fails, it is told to end.

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
    """What a module prints."""
    with child(module, *arguments, stdout=subprocess.PIPE, **options) as process:
        printed, _ = process.communicate()
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        return printed


def _end(process: Process) -> None:
    """Have a child and its own children end, if need be without their consent.

    What they leave in RAM then is removed by the resource trackers, which end by
    themselves when all others have.
    """
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_GRACE)
    _kill_session(process.pid)
    process.communicate()
    for left in Path("/dev/shm").glob(f"{name_in_ram(process.pid)}*"):
        left.unlink(missing_ok=True)


def _kill_session(session: int) -> None:
    """Kill all that is left of it, but for the resource trackers."""
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with suppress(OSError):  # it has ended by now
            if os.getsid(pid) == session:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"resource_tracker" not in command:
                    os.kill(pid, signal.SIGKILL)
