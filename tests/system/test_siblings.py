"""Children that a helper forks for its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGKILL, SIGUSR1

import pytest
from repository import PYTHON_PATH
from team_tools import LONG, wait_for_end

from sharray.system import siblings
from sharray.system.children import Child

pytestmark = pytest.mark.skipif(
    "thread descriptor" in siblings.why_not() or "not on" in siblings.why_not(),
    reason="the platform cannot fork siblings",
)

_HELPER = """
import os, sys
from sharray.system import siblings
assert not siblings.why_not()
log = []

def say(*words):  # in one piece: parent and child write to the same pipe
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

os.register_at_fork(
    before=lambda: log.append("before"),
    after_in_parent=lambda: log.append("parent"),
    after_in_child=lambda: log.append("child"),
)
parent = os.getppid()
pid = siblings.fork()
if pid:
    say(pid, *log)
    sys.exit()
"""


@contextmanager
def forked(code: str) -> Iterator[tuple[Child, list[str], list[str]]]:
    """Yield a child that a helper has forked, and what the helper and the child say."""
    with subprocess.Popen(
        [sys.executable, "-c", _HELPER + code],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": PYTHON_PATH, "OMP_NUM_THREADS": "1"},
    ) as helper:
        assert helper.stdout is not None
        lines = [helper.stdout.readline().split() for _ in range(2)]
        (pid, *log), said = sorted(lines, key=lambda words: not words[0].isdecimal())
        child = Child(int(pid))
        try:
            yield child, log, said
        finally:
            child.kill()


def test_the_child_belongs_to_the_parent_of_the_helper() -> None:
    code = "say(os.getppid() == parent, *log); sys.exit(7)"
    with forked(code) as (child, log, said):
        assert log == ["before", "parent"]
        assert said == ["True", "before", "child"]
        assert child.wait(LONG) == 7
        assert child.returncode == child.poll() == 7


def test_the_child_has_its_own_thread_number_and_robust_list() -> None:
    code = """
import ctypes, signal, threading
own = siblings._thread_number().value, threading.main_thread().native_id
siblings._robust_list.cache_clear()
robust = siblings._robust_list()
seen = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: seen.set())
# pthread_kill(3) reads the thread number in the descriptor.
signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
thread = threading.Thread(target=seen.wait)
thread.start()
thread.join()
say(own == (os.getpid(),) * 2, bool(robust[0]))
"""
    with forked(code) as (child, _, said):
        assert said == ["True", "True"]
        assert child.wait(LONG) == 0


def test_the_signal_that_ended_a_child_is_known() -> None:
    with forked("say('child'); sys.stdin.read()") as (child, _, _):
        assert child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0)
        os.kill(child.pid, SIGUSR1)
        assert child.wait(LONG) == -SIGUSR1


def test_killing_a_child_twice_sends_one_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with forked("say('child'); sys.stdin.read()") as (child, _, _):
        child.kill()
        assert wait_for_end(child.pid)
        assert child.wait(LONG) == -SIGKILL
        monkeypatch.setattr(os, "kill", None)  # its number may be another process's
        child.kill()


def test_a_child_that_others_have_waited_for_has_ended() -> None:
    with forked("say('child'); sys.stdin.read()") as (child, _, _):
        os.kill(child.pid, SIGKILL)
        os.waitpid(child.pid, 0)
        assert child.poll() == 0
        assert child.wait(LONG) == 0


def test_a_process_with_threads_does_not_fork() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert "several threads" in siblings.why_not()
    finally:
        end.set()
        thread.join()
