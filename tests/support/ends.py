"""Programs that end in different ways; tests check what they leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import sharray as sh

PRELUDE = """
import atexit, gc, multiprocessing, os, pickle, signal, sys, threading, time
from multiprocessing.reduction import ForkingPickler

def show():
    if "a" in globals():
        print("late", a.sum(), flush=True)

atexit.register(show)  # runs after sharray has closed its arrays
import sharray as sh
atexit.register(show)  # runs before that

def sent():
    "An array with a name, and a handle on its way that never arrives."
    array = sh.full(1000, 7.0)
    ForkingPickler.dumps(array)
    return array

def arrived():
    "An array with a name, and nothing on its way."
    array = sh.full(1000, 7.0)
    pickle.loads(pickle.dumps(array))
    return array

class Node:
    "A reference cycle that reads its array when it is collected."
    def __init__(self, array):
        self.me = self
        self.array = array

    def __del__(self):
        os.write(1, b"collected %d\\n" % self.array[-1])

def wait_for_a_signal():
    print("ready", flush=True)
    while True:  # pause() would miss a signal that comes just before it
        time.sleep(0.01)
"""


def start(program: str, before: str = "") -> subprocess.Popen[str]:
    """Start a program after the prelude, with warnings as errors."""
    Path("program.py").write_text(before + PRELUDE + program)
    options = ["-X", "dev", "-W", "error"]
    # Python 3.12 and later warn of a fork beside threads, and pools have threads.
    options += ["-W", "ignore:This process:DeprecationWarning"]
    return subprocess.Popen(
        [sys.executable, *options, "program.py"],
        # OpenBLAS's threads would also count.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], status: int = 0) -> list[str]:
    """Wait for a program and all its children; return the lines they printed."""
    printed, errors = process.communicate()
    assert not errors, errors
    assert process.returncode == status
    return printed.splitlines()


def run(program: str, status: int = 0) -> list[str]:
    """Run a program to its end."""
    return finish(start(program), status)


def collect_what_a_stranger_left() -> None:
    """Remove the leftovers of a process for whose end nobody could wait.

    Its pipes tell of its death slightly before the kernel takes back its locks.
    """
    while names_in_ram():
        sh.gc()


def names_in_ram() -> list[str]:
    """Return every file in the RAM directory."""
    top = os.environ["SHARRAY_RAM_DIR"]
    return [name for _, _, names in os.walk(top) for name in names]
