"""However a process ends, it leaves no array in RAM behind.

What ends in order has removed its arrays itself, before anybody else could.
What is killed leaves at most a name, which the next process removes.
"""

from __future__ import annotations

import os
import signal

import pytest
from ends import finish, names_in_ram, run, start

import sharray as sh

TWICE = ["late 7000.0", "late 7000.0"]


@pytest.fixture(autouse=True)
def _own_ram_directory(tmp_ram: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what one test leaves behind fails no other."""
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)


@pytest.mark.parametrize("make", ["sent()", "arrived()", "sh.full(1000, 7.0)"])
def test_a_module_global_is_readable_to_the_very_end(make: str) -> None:
    assert run(f"a = {make}") == TWICE
    assert names_in_ram() == []


def test_sys_exit_with_a_live_array() -> None:
    assert run("a = sent(); sys.exit(3)", status=3) == TWICE
    assert names_in_ram() == []


def test_arrays_made_after_the_finalizers_of_multiprocessing_have_run() -> None:
    program = """
early = arrived()
multiprocessing.util._run_finalizers()
a = arrived()
"""
    assert run(program) == TWICE
    assert names_in_ram() == []


def test_an_exception_whose_frames_hold_arrays() -> None:
    program = """
sys.excepthook = lambda *_: print("failed")

def fail():
    a = sent()
    b = sent()[1:]
    raise RuntimeError

fail()
"""
    assert run(program, status=1) == ["failed"]
    assert names_in_ram() == []


@pytest.mark.parametrize("array", ["sent()", "sent()[::2]", "sent().base"])
def test_a_reference_cycle_may_read_its_array_when_collected(array: str) -> None:
    program = f"""
Node({array})
gc.collect()
node = Node({array})
"""
    collected = "collected 0" if array.endswith("base") else "collected 7"
    assert run(program) == [collected, collected]
    assert names_in_ram() == []


def test_a_cycle_that_only_the_end_collects() -> None:
    assert run("sys.modules['kept'] = Node(sent())") == ["collected 7"]
    assert names_in_ram() == []


def test_a_daemon_thread_reads_while_the_interpreter_ends() -> None:
    program = """
def read(started):
    mine = sent()
    while mine.sum() == 7000:
        started.set()
    os.write(2, b"the memory has changed")

started = threading.Event()
threading.Thread(target=read, args=(started,), daemon=True).start()
started.wait()
a = sent()
"""
    assert run(program) == TWICE
    assert names_in_ram() == []


def test_a_thread_that_outlives_the_main_one() -> None:
    program = """
def read(array):
    threading.main_thread().join()
    print("thread", array.sum())

threading.Thread(target=read, args=(sent(),)).start()
"""
    assert run(program) == ["thread 7000.0"]
    assert names_in_ram() == []


def test_threads_that_send_receive_and_drop_the_same_arrays() -> None:
    program = """
sys.setswitchinterval(1e-6)
shared = [sh.full(10, i) for i in range(4)]

def work(seed):
    for step in range(200):
        i = (seed + step) % 4
        assert pickle.loads(pickle.dumps(shared[i]))[0] == i
        passing = sh.full(10, step)
        handle = pickle.dumps(passing)
        del passing
        assert pickle.loads(handle)[0] == step

threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
del shared
print(sum(len(names) for _, _, names in os.walk(os.environ["SHARRAY_RAM_DIR"])))
"""
    assert run(program) == ["0"]


def test_every_handle_on_its_way_keeps_its_array_whichever_thread_sent_it() -> None:
    program = """
from sharray.storage.lifetime import transit
sys.setswitchinterval(1e-6)

def send(array, barrier, tokens):
    barrier.wait()
    for _ in range(20):
        tokens.append(array._root.segment.record_sent())

for _ in range(50):
    array, tokens, barrier = sh.ones(3), [], threading.Barrier(4)
    threads = [threading.Thread(target=send, args=(array, barrier, tokens))
               for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    words = array._root.segment.words
    held = {entry.token for entry in transit.on_the_way(words)}
    assert held.issuperset(tokens)
"""
    assert run(program) == []
    assert names_in_ram() == []


def test_a_process_that_leaves_without_goodbye() -> None:
    run("a = arrived(); os._exit(0)")
    assert len(names_in_ram()) == 1
    assert len(sh.gc()) == 1
    assert names_in_ram() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_a_signal(number: signal.Signals) -> None:
    program = "import faulthandler; faulthandler.disable(); a = arrived()\n"
    process = start(program + "wait_for_a_signal()")
    assert process.stdout is not None
    process.stdout.readline()
    assert len(names_in_ram()) == 1
    assert sh.gc() == []  # it is in use
    process.send_signal(number)
    finish(process, status=-number)
    assert len(sh.gc()) == 1
    assert names_in_ram() == []


def test_ctrl_c_is_an_orderly_end() -> None:
    program = """
a = sent()
sys.excepthook = lambda kind, *_: print(kind.__name__)
wait_for_a_signal()
"""
    process = start(program)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert finish(process, status=-signal.SIGINT) == ["KeyboardInterrupt", *TWICE]
    assert names_in_ram() == []


def test_what_was_never_pickled_is_freed_by_the_kernel_even_on_sigkill() -> None:
    process = start("a = sh.ones(1000); wait_for_a_signal()")
    assert process.stdout is not None
    process.stdout.readline()
    assert names_in_ram() == []
    # Not the room on the RAM disk, which other programs use as well.
    assert _links_of_files_in_ram(process.pid) == {0}
    process.kill()
    finish(process, status=-signal.SIGKILL)
    assert names_in_ram() == []


def _links_of_files_in_ram(pid: int) -> set[int]:
    """How many names the files in RAM have that a process has open."""
    place = f"/proc/{pid}/fd"
    paths = [os.path.join(place, name) for name in os.listdir(place)]
    return {
        os.stat(path).st_nlink
        for path in paths
        if os.readlink(path).startswith(os.environ["SHARRAY_RAM_DIR"])
    }


# Another thread drops its array just when the end comes to that, and maps something of
# its own; the system gives it the same place.
REPLACED = """
import mmap
from sharray.storage import ending
from sharray.system import files

array = sh.full(100_000, 7.0)
handle = bytes(ForkingPickler.dumps(array))
ready, done = os.pipe(), os.pipe()
if (pid := os.fork()) == 0:
    os.close(done[1])
    other = pickle.loads(handle)
    os.write(ready[1], b"x")
    os.read(done[0], 1)
    os._exit(0)
os.read(ready[0], 1)
size, held, own = array._root.segment.size, [array], []
del array
open_existing = files.open_existing

def drop_meanwhile(*args, **options):
    if held:
        held.clear()
        own.append(mmap.mmap(-1, size))
        own[0][:] = b"U" * size
    return open_existing(*args, **options)

files.open_existing = drop_meanwhile
ending.end()
files.open_existing = open_existing
print(own[0][:] == b"U" * size)
os.close(done[1])
os.waitpid(pid, 0)
"""


def test_the_end_maps_nothing_over_what_another_thread_has_mapped() -> None:
    assert run(REPLACED)[0] == "True"
