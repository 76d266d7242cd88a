"""Kill a process at each of its steps in turn, and check what is left.

A program: ``python -m torture.deaths MOMENT``, in an empty directory on a disk and
with a SHARRAY_RAM_DIR of its own, both of which it clears. It prints a JSON object
with the number of deaths of each life, and what was wrong.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable

import sharray as sh
from sharray.storage import ending, location
from sharray.storage.lifetime import transit

from . import lives
from .dying import die_at
from .remains import arrays_below, still_locked_below

# A life, and what becomes of the process that made the array it attaches.
LIVES: dict[str, tuple[lives.Life, str]] = {
    "create_send_receive_close": (lives.create_send_receive_close, "none"),
    "attach_and_close": (lives.attach_and_close, "holds"),
    "attach_and_close_as_the_last": (lives.attach_and_close, "is dead"),
    "keep_and_use_again": (lives.keep_and_use_again, "holds"),
    "keep_and_close_as_the_last": (lives.keep_and_close, "is dead"),
    "attach_and_end": (lives.attach_and_end, "holds"),
    "attach_and_end_as_the_last": (lives.attach_and_end, "is dead"),
    "name_in_ram": (lives.name_in_ram, "none"),
    "name_on_disk": (lives.name_on_disk, "none"),
    "publish_in_ram": (lives.publish_in_ram, "none"),
    "publish_on_disk": (lives.publish_on_disk, "none"),
}


def in_a_fork(work: Callable[[], None]) -> int:
    """Run a function in a child process; return the process number."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    return pid


def outcome(pid: int) -> int:
    """Wait for a child; return its exit status, or minus its signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Maker:
    """A process that makes an array, sends a handle of it, and holds it."""

    def __init__(self) -> None:
        handles, handle_end = os.pipe()
        go_end, self._go = os.pipe()

        def work() -> None:
            os.close(self._go)
            os.write(handle_end, lives.make_and_send())
            os.read(go_end, 1)  # until the other end is closed
            lives.let_go_of_what_is_kept()

        self.pid = in_a_fork(work)
        os.close(handle_end)
        os.close(go_end)
        self.handle = os.read(handles, 10_000)
        os.close(handles)

    def kill(self) -> None:
        """Kill the process, so that only the name of the array is left."""
        os.kill(self.pid, signal.SIGKILL)
        outcome(self.pid)
        os.close(self._go)

    def end(self) -> int:
        """Let the process check and drop the array; return its exit status."""
        os.close(self._go)
        return outcome(self.pid)


def live_and_die(name: str, moment: str, n: int) -> tuple[bool, list[str]]:
    """Kill a process once; return whether it died, and what is wrong then."""
    life, partner = LIVES[name]
    maker = Maker() if partner != "none" else None
    handle = maker.handle if maker else b""
    if maker and partner == "is dead":
        maker.kill()
    held = visible()

    def work() -> None:
        ending._next_sweep = 0.0  # so that sweeping is part of each life
        die_at(moment, n)
        life(handle)

    wrong = []
    status = outcome(in_a_fork(work))
    if status not in (0, -signal.SIGKILL):
        wrong.append(f"it ended with {status}")
    if maker and partner == "holds":
        if not held.items() <= visible().items():
            wrong.append("the name of an array that is held has gone")
        if maker.end() != 0:
            wrong.append("the array that is held has changed")
    wrong += what_is_wrong_when_all_are_dead()
    return status != 0, [f"{name}, {moment} step {n}: {each}" for each in wrong]


def visible() -> dict[str, int]:
    """Return all array files, with their inodes."""
    return arrays_below(location.ram_directory()) | arrays_below(os.getcwd())


def what_is_wrong_when_all_are_dead() -> list[str]:
    """Check the remains like the next process, which cleans up."""
    wrong = []
    if still_locked_below(location.ram_directory(), os.getcwd()):
        wrong.append("a lock has remained")
    try:
        for path in visible():
            lives.open_what_is_visible(path)
        sh.gc()
        # Whoever overwrites next uses the names that a dead process has left.
        remaining = " ".join(visible())
        for path in lives.RAM_NAME, lives.DISK_NAME:
            if os.path.basename(path) in remaining:
                lives.use_the_name(path)
    except Exception as error:
        wrong.append(repr(error))
    for path in visible():
        wrong.append(f"{path} is left")
        os.unlink(path)
    return wrong


def lives_to_end(moment: str) -> list[str]:
    """Return the lives that differ in their steps."""
    if moment == "line":
        return [name for name in LIVES if not name.endswith(("_disk", "_last"))]
    return list(LIVES)


def warm_up() -> None:
    """Do the work of the first array here, so that forks need not repeat it."""
    for life, partner in LIVES.values():
        if partner == "none":
            life(b"")
    gc.collect()
    gc.freeze()


def main(moment: str) -> None:
    """Kill each life at all of its steps."""
    assert "SHARRAY_RAM_DIR" in os.environ, "this user's arrays would be removed"
    # Who waits for a handle that a killed process has sent waits no longer.
    transit.GRACE = transit.OVERFLOW_GRACE = 0
    warm_up()
    deaths, wrong = {}, []
    for name in lives_to_end(moment):
        n, died = 0, True
        while died:
            n += 1
            died, found = live_and_die(name, moment, n)
            wrong += found
        deaths[name] = n - 1
    print(json.dumps({"deaths": deaths, "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1])
