"""``sharray top``."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from cli_tools import TIMEOUT, call

import sharray as sh

pytestmark = pytest.mark.slow

LEAVE_SCREEN = "\x1b[?1049l"


class Screen:
    """A terminal in which ``sharray top`` runs."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self.fd = fd
        self.process = process
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Wait until the screen shows a text again."""
        start, until = len(self.shown), time.monotonic() + TIMEOUT
        while text not in self.shown[start:]:
            ended = self.process.poll() is not None
            if select.select([self.fd], [], [], 0 if ended else 0.1)[0]:
                self.shown += os.read(self.fd, 1 << 16).decode(errors="replace")
                continue
            late = ended or time.monotonic() > until
            assert not late, f"{text!r} is not shown, but {self.shown[-2000:]!r}"

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)


@contextmanager
def live(*options: str, rows: int = 24, columns: int = 100) -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    before = termios.tcgetattr(theirs)
    environment = os.environ | {"TERM": "xterm"}
    for name in ("COLUMNS", "LINES"):
        environment.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-m", "sharray", "top", "--interval", "0.1", *options],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # So that Ctrl-C reaches it.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env=environment,
    ) as process:
        try:
            yield Screen(ours, process)
        finally:
            process.kill()
            process.wait(TIMEOUT)
            assert termios.tcgetattr(theirs) == before, "the terminal was left changed"
            os.close(theirs)
            os.close(ours)


def test_arrays_appear_while_it_runs_and_q_ends_it() -> None:
    with live() as screen:
        screen.wait_for("0 arrays")
        sh.create("shm://run7/velocity", 1000)
        screen.wait_for("shm://run7/velocity")
        sh.unlink("shm://run7/velocity")
        screen.wait_for("0 arrays")
        screen.press(b"q")
        screen.wait_for(LEAVE_SCREEN)
        assert screen.process.wait(TIMEOUT) == 0
    assert "Traceback" not in screen.shown


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_however_it_ends_it_leaves_the_terminal_as_it_was(how: str) -> None:
    with live() as screen:
        screen.wait_for("0 arrays")
        if how == "Ctrl-C":
            screen.press(b"\x03")
            expected = 0
        else:
            number = signal.Signals[how]
            screen.process.send_signal(number)
            expected = 128 + number
        screen.wait_for(LEAVE_SCREEN)
        assert screen.process.wait(TIMEOUT) == expected
    assert "Traceback" not in screen.shown


def test_what_a_small_terminal_has_no_room_for_is_counted() -> None:
    for number in range(20):
        sh.create(f"shm://a{number:02}", number + 1)
    with live(rows=12, columns=60) as screen:
        # 14 arrays or more: teams of other programs have lines of their own.
        screen.wait_for("more not shown")
        [number, *_] = re.findall(r"press q to quit; (\d+) more", screen.shown)
        assert int(number) >= 14
        screen.wait_for("press q to quit")
        assert "shm://a00" in screen.shown
        screen.press(b"q")
        # Read on: it cannot end while the terminal is full of what nobody reads.
        screen.wait_for(LEAVE_SCREEN)
        assert screen.process.wait(TIMEOUT) == 0
    for number in range(20):
        sh.unlink(f"shm://a{number:02}")


def test_one_look_as_json_has_arrays_teams_and_totals() -> None:
    a = sh.create("shm://a", 1000)
    a[:] = 1
    with sh.Team(1, name="fields") as team:
        found = call("top", "--once", "--json").json
        [seen] = [one for one in found["teams"] if one["pid"] == os.getpid()]
        assert [member["pid"] for member in seen["members"]] == [
            os.getpid(),
            *team.pids(),
        ]
        assert (seen["name"], seen["process"]) == ("fields", "this process")
        shown = call("top").out
        assert "TEAM" in shown
        assert re.search(r"^fields +this process  ", shown, re.MULTILINE)
    assert datetime.fromisoformat(found["time"]).tzinfo is not None
    [array] = found["arrays"]
    status = os.statvfs(os.path.dirname(array["path"]))
    assert array["name"] == "shm://a"
    assert found["totals"] == {
        "nbytes": 8000,
        "resident": array["resident"],
        "ram_disk_used": found["totals"]["ram_disk_used"],
        "ram_disk_size": status.f_blocks * status.f_frsize,
    }
    assert 8000 <= array["resident"] <= found["totals"]["ram_disk_used"]
    sh.unlink("shm://a")


def test_where_there_is_no_terminal_it_is_shown_once() -> None:
    a = sh.create("shm://a", 1000)
    done = call("top")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("1 array, 7.8 KiB, ")
    assert done.out.count("shm://a") == 1
    assert call("top", "--once", columns=100).out.count("shm://a") == 1
    sh.unlink("shm://a")
    del a


def test_each_look_is_a_line_of_json_until_nobody_reads_them() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "sharray", "top", "--json", "--interval", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        times = [json.loads(process.stdout.readline())["time"] for _ in range(2)]
        assert times[0] < times[1]
        process.stdout.close()
        assert process.wait(TIMEOUT) == 1
        assert process.stderr.read() == ""


def test_an_interval_of_nothing_is_refused() -> None:
    assert call("top", "--interval", "0").code == 2
