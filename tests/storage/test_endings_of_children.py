"""Processes that share arrays end in any order, and none is left in RAM."""

from __future__ import annotations

import signal

import pytest
from ends import collect_what_a_stranger_left, finish, names_in_ram, run, start

METHODS = ["fork", "spawn", "forkserver"]


@pytest.fixture(autouse=True)
def _own_ram_directory(tmp_ram: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what one test leaves behind fails no other."""
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)


@pytest.mark.parametrize("forget", ["a", "pass"])
def test_a_forked_child_that_publishes_its_parents_array(forget: str) -> None:
    program = f"""
a = sh.full(1000, 7.0)
source, target = os.pipe()
if os.fork() == 0:
    os.write(target, pickle.dumps(a))
    os._exit(0)
os.wait()
handle = os.read(source, 10_000)
assert pickle.loads(handle).sum() == 7000
{"del a" if forget == "a" else ""}
"""
    run(program)
    assert names_in_ram() == []


def test_a_forked_child_that_lives_longer_than_the_array_in_its_parent() -> None:
    program = """
array = arrived()
source, target = os.pipe()
if os.fork() == 0:
    os.close(target)
    os.read(source, 1)  # until the parent is gone
    assert array.sum() == 7000
    print("child", flush=True)
    os._exit(0)
del array
"""
    assert run(program) == ["child"]
    assert len(names_in_ram()) == 1  # os._exit tidies nothing
    collect_what_a_stranger_left()


def test_a_fork_while_another_thread_publishes() -> None:
    program = """
from sharray.system import files
inside, go, here = threading.Event(), threading.Event(), os.getpid()
link = files.link_unnamed

def link_slowly(fd, path):
    if os.getpid() == here:
        inside.set()
        go.wait()
    link(fd, path)

array, other = sh.ones(3), sh.ones(3)
files.link_unnamed = link_slowly
thread = threading.Thread(target=ForkingPickler.dumps, args=(array,))
thread.start()
inside.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(500)  # a deadlock must not last
    pickle.loads(pickle.dumps(other))
    os._exit(0)
print(os.waitpid(pid, 0)[1])
go.set()
thread.join()
"""
    assert run(program) == ["0"]
    assert names_in_ram() == []


CHILDREN = """
def child_makes(connection):
    connection.send(sent()[1:])

def child_keeps(connection):
    array = connection.recv()
    connection.send("received")
    multiprocessing.parent_process().join()
    print("child", array.sum(), flush=True)

def child_fails(array):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    global kept
    kept = array, sent()
    raise RuntimeError

def child_reads(array):
    print("child", array.sum(), flush=True)

def make(value):
    return sh.full(1000, float(value))

def sums(arrays):
    print(*[array[0] for array in arrays])
"""


def in_main(method: str, program: str) -> str:
    """A program whose children may import it."""
    lines = [f"    {line}" for line in program.strip().splitlines()]
    context = f"    context = multiprocessing.get_context({method!r})"
    return "\n".join([CHILDREN, 'if __name__ == "__main__":', context, *lines])


@pytest.mark.parametrize("method", METHODS)
def test_the_parent_is_killed_while_a_worker_holds(method: str) -> None:
    program = """
ours, theirs = context.Pipe()
worker = context.Process(target=child_keeps, args=(theirs,))
worker.start()
theirs.close()
a = sh.full(1000, 7.0)
ours.send(a)
ours.recv()
wait_for_a_signal()
"""
    process = start(in_main(method, program))
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    assert finish(process, status=-signal.SIGKILL) == ["child 7000.0"]
    # Usually nothing, but the parent's lock may have lasted a little longer.
    collect_what_a_stranger_left()


@pytest.mark.parametrize("method", METHODS)
def test_a_child_ends_with_arrays_it_was_given_and_its_own(method: str) -> None:
    program = """
array = sent()
worker = context.Process(target=child_fails, args=(array,))
worker.start()
worker.join()
print(worker.exitcode, array.sum())
del array
"""
    assert run(in_main(method, program)) == ["1 7000.0"]
    assert names_in_ram() == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("first", ["sharray", "concurrent.futures.process"])
def test_the_parent_ends_at_once_after_starting_a_child(
    method: str, first: str
) -> None:
    # Whichever of both was imported first: multiprocessing waits for the child
    # at exit, so its array has to stay until then.
    program = """
context.Process(target=child_reads, args=(sent(),)).start()
"""
    process = start(in_main(method, program), before=f"import {first}")
    assert finish(process) == ["child 7000.0"]
    assert names_in_ram() == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("used", [True, False])
def test_a_result_that_is_never_received(method: str, used: bool) -> None:
    program = f"""
{"a = sent()" if used else ""}
ours, theirs = context.Pipe()
worker = context.Process(target=child_makes, args=(theirs,))
worker.start()
worker.join()
"""
    run(in_main(method, program))
    assert names_in_ram() == []


@pytest.mark.parametrize("method", METHODS)
def test_workers_of_a_pool_return_arrays_and_drop_them(method: str) -> None:
    program = """
with context.Pool(2, maxtasksperchild=1) as pool:
    sums(pool.map(make, range(5), chunksize=1))
    pool.close()
    pool.join()
with context.Pool(2) as pool:
    sums(pool.map(make, range(5)))
    lost = pool.map_async(make, range(5))
    lost.wait()
"""
    assert run(in_main(method, program)) == ["0.0 1.0 2.0 3.0 4.0"] * 2
    assert names_in_ram() == []


@pytest.mark.parametrize("method", METHODS)
def test_workers_of_an_executor_return_arrays_and_drop_them(method: str) -> None:
    # A forked worker cannot be replaced after one task.
    tasks = "" if method == "fork" else ", max_tasks_per_child=1"
    program = f"""
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(2, mp_context=context{tasks}) as executor:
    sums(executor.map(make, range(5)))
    executor.submit(make, 6)
"""
    assert run(in_main(method, program)) == ["0.0 1.0 2.0 3.0 4.0"]
    assert names_in_ram() == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("moment", ["pass", "ours.recv()"])
def test_a_worker_is_killed_before_and_after_it_maps(method: str, moment: str) -> None:
    program = f"""
ours, theirs = context.Pipe()
worker = context.Process(target=child_keeps, args=(theirs,))
worker.start()
a = sh.full(1000, 7.0)
ours.send(a)
{moment}
os.kill(worker.pid, signal.SIGKILL)
worker.join()
print(worker.exitcode, a.sum())
"""
    assert run(in_main(method, program))[0] == "-9 7000.0"
    assert names_in_ram() == []
