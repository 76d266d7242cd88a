"""However a program ends that sends and receives messages, nothing is left in RAM."""

from __future__ import annotations

import signal
import subprocess

import ends
import pytest
from ends import names_in_ram
from repository import PYTHON_PATH

import sharray as sh
from sharray.storage.lifetime import transit

BEFORE = """
import time, warnings
import numpy as np
import passing_ends as ends
from passing_ends import numbered

fork = multiprocessing.get_context("fork")
sh.install()
reader, writer = fork.Pipe(False)
"""


@pytest.fixture(autouse=True)
def _own_ram_directory(tmp_ram: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)
    monkeypatch.setenv("PYTHONPATH", PYTHON_PATH, prepend=":")


def start(program: str) -> subprocess.Popen[str]:
    return ends.start(BEFORE + program)


def run(program: str, status: int = 0) -> list[str]:
    return ends.finish(start(program), status)


@pytest.mark.parametrize(
    "end", ["", "sys.exit(3)", "raise SystemExit(3)", "os.kill(os.getpid(), 2)"]
)
def test_messages_that_nobody_received(end: str) -> None:
    program = f"""
sys.excepthook = lambda *_: None
for number in range(5):
    writer.send(numbered(number))
held = reader.recv()
{end}
"""
    process = start(program)
    ends.finish(process, status=3 if "3" in end else -2 if end else 0)
    assert names_in_ram() == []


@pytest.mark.parametrize("program", ["", "pool.terminate(); pool.join()"])
def test_tasks_and_results_under_way(program: str) -> None:
    started = """
pool = fork.Pool(2)
found = pool.imap_unordered(ends.make_numbered, range(40))
more = [pool.apply_async(ends.checksum, (numbered(i),)) for i in range(20)]
next(found)
"""
    ignored = "warnings.simplefilter('ignore', ResourceWarning)\n"
    run(ignored + started + program)
    assert names_in_ram() == []


def test_a_queue_is_dropped_with_messages_in_it() -> None:
    program = """
channel = fork.Queue()
for number in range(5):
    channel.put(numbered(number))
child = fork.Process(target=ends.put_numbered, args=(channel, 5))
child.start()
child.join()
del channel
"""
    run(program)
    assert names_in_ram() == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_messages_of_grandchildren_that_nobody_received(method: str) -> None:
    program = f"""
channel = fork.Queue()
child = fork.Process(target=ends.put_by_another, args=(channel, {method!r}))
child.start()
child.join()
"""
    if method == "spawn":
        program = program.replace("fork.", "multiprocessing.get_context('spawn').")
        program = "if __name__ == '__main__':" + program.replace("\n", "\n    ")
    run(program)
    assert names_in_ram() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_program_leaves_what_the_next_one_removes(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = """
writer.send(numbered(1))
held = reader.recv()
writer.send(numbered(2))
wait_for_a_signal()
"""
    process = start(program)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    ends.finish(process, status=-number)
    monkeypatch.setattr(transit, "GRACE", 0)
    sh.gc()
    assert names_in_ram() == []


@pytest.mark.parametrize(
    ("owner", "name", "before"),
    [
        ("sharray.system.files", "write_all_at", ""),  # a new file is written
        ("numpy", "copyto", "writer.send(numbered(0)); reader.recv()"),
    ],
)
def test_a_daemon_thread_copies_while_the_interpreter_ends(
    owner: str, name: str, before: str
) -> None:
    program = f"""
import importlib
from multiprocessing import util

{before}
copying, ended, done = (threading.Event() for _ in range(3))
owner = importlib.import_module("{owner}")
copy = owner.{name}

def copy_late(*arguments):
    copying.set()
    ended.wait()
    copied = copy(*arguments)
    done.set()
    return copied

def end():
    ended.set()
    done.wait()

owner.{name} = copy_late
threading.Thread(target=writer.send, args=(numbered(1),), daemon=True).start()
copying.wait()
util.Finalize(None, end, exitpriority=-2000)  # after sharray has let go
"""
    run(program)


def test_received_arrays_can_be_read_to_the_very_end() -> None:
    program = """
writer.send(numbered(1))
writer.send(numbered(2, 100))
a = reader.recv()
print("late", a.sum())
"""
    sums = run(program)
    assert len(sums) == 3
    assert len(set(sums)) == 1
    assert names_in_ram() == []


def test_relayed_results_can_be_read_to_the_very_end() -> None:
    program = """
with fork.Pool(1) as pool:
    for i in range(3):
        a = pool.apply(ends.increased, (numbered(i, 400_000),))
    pool.close()
    pool.join()
print("late", a.sum())
"""
    sums = run(program)
    assert len(sums) == 3
    assert len(set(sums)) == 1
    assert names_in_ram() == []


def test_a_receiver_that_has_forked_leaves_nothing() -> None:
    program = """
writer.send(numbered(1))
a = reader.recv()
child = fork.Process(target=os.getpid)
child.start()
child.join()
print("late", a.sum())
if os.fork() == 0:
    sys.exit()
os.wait()
"""
    assert len(set(run(program))) == 1
    assert names_in_ram() == []


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_receiver_is_killed_with_messages_under_way(end: str) -> None:
    program = f"""
child = fork.Process(target=signal.pause)
child.start()
for number in range(5):
    writer.send(numbered(number))
child.{end}()
child.join()
"""
    run(program)
    assert names_in_ram() == []


def test_a_hundred_unread_messages_arrive_without_a_warning() -> None:
    program = """
channel = fork.Queue()
child = fork.Process(target=ends.put_numbered, args=(channel, 100))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for number in range(100):
        # The pipe holds 64 KiB; what is larger waits in the queue's thread.
        channel.put(numbered(number))
    while channel.qsize() < 70:
        pass
    found = [channel.get() for _ in range(100)]
    channel.close()
    channel.join_thread()
print(ends.is_wrong(found, range(100)).count(True))
print([each.category.__name__ for each in caught])
"""
    assert run(program) == ["0", "[]"]
    assert names_in_ram() == []
