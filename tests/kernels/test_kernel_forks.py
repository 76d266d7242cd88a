"""A process that forks while kernels are compiled or run leaves its child usable.

Each program forks at the worst moment, made to last by a lock
that another thread holds.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import team_tools
from kernels_elsewhere import as_received
from workers import run_python

import sharray as sh
from sharray.kernels import compiled as module
from sharray.native import locks

pytestmark = [pytest.mark.slow, team_tools.needs_jit]

PROGRAM = """
import gc, os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forks in a process with threads
import numpy as np, sharray as sh
from kernels_elsewhere import as_received
from team_tools import wait_for_end

def use_once(run):
    @sh.kernel
    def add(x):
        for i in range(x.shape[0]):
            x[i] += 1
    run(add, sh.zeros(1000))

@sh.kernel
def again(x):
    for i in range(x.shape[0]):
        x[i] += 1

again.compile(np.zeros(1))
received = as_received(again)

def held(lock):
    # Another thread holds a lock until this process ends.
    begun = threading.Event()
    def hold():
        with lock:
            begun.set()
            threading.Event().wait()
    threading.Thread(target=hold, daemon=True).start()
    begun.wait()

def child_does(action):
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    if not wait_for_end(pid, 20):
        os.kill(pid, 9)
    return os.waitpid(pid, 0)[1]
"""

LLVM = """
import llvmlite.binding.ffi as ffi
use_once(sh.run)
team = sh.Team(1)
use_once(team.run)
del team
gc.collect()
gc.disable()
held(ffi.lib._lock)
print(child_does(lambda: None))
"""

OURS = """
from sharray.native import locks
held(locks.compiling())
held(locks.loading())
x = np.zeros(3)
def use():
    received(x)
    again(np.zeros(2, "f4"))
    sh.kernel(lambda x: x + 1).compile(1)
print(child_does(use))
"""

RUNNING = """
words, x = sh.zeros(2, "i8"), sh.zeros(4)
@sh.kernel
def hold(words, x):
    sh.atomic.add(words, 0, 1)
    for i in range(x.shape[0]):
        while sh.atomic.load(words, 1) == 0:
            pass
        x[i] += 1
whole = sh.whole(words)
future = sh.submit(hold, whole, x)
while sh.atomic.load(words, 0) == 0:
    pass
free = sh.ones(2, "i8")
print(child_does(lambda: (hold(free, np.zeros(3)), sh.run(again, sh.zeros(3)))))
sh.atomic.store(words, 1, 1)
future.result()
"""


@pytest.mark.parametrize("program", [LLVM, OURS, RUNNING])
def test_a_forked_child_does_not_wait_for_threads_of_its_parent(program: str) -> None:
    assert run_python(PROGRAM + program) == "0\n"


def test_two_first_calls_load_once(monkeypatch: pytest.MonkeyPatch) -> None:
    @sh.kernel
    def add(x: Any) -> None:
        for i in range(x.shape[0]):
            x[i] += 1

    received = as_received(add.compile(np.zeros(1)))
    loads = []
    load = module.load

    def count(code: Any) -> Any:
        loads.append(code)
        return load(code)

    monkeypatch.setattr(module, "load", count)
    x = np.zeros(3)
    threads = [threading.Thread(target=received, args=(x,)) for _ in range(4)]
    with locks.loading():  # all come here before anyone has loaded it
        for thread in threads:
            thread.start()
        team_tools.until(lambda: all(thread.is_alive() for thread in threads))
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert x.tolist() == [4] * 3


def test_two_first_calls_compile_once() -> None:
    @sh.kernel
    def add(x: Any) -> None:
        x[0] += 1

    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(add._dispatcher)) for _ in range(4)
    ]
    with locks.compiling():
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
