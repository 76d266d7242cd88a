"""Kernels as other processes receive them, called here or in a new interpreter."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
from repository import PYTHON_PATH

import sharray as sh


def _refuse(*arguments: Any) -> Any:
    raise AssertionError(f"to be compiled again, for {arguments}")


def as_received(kernel: sh.Kernel, may_compile: bool = False) -> sh.Kernel:
    """Return a kernel as if it came from another process.

    Without `may_compile` it is an error to call it with types for which no machine
    code has come.
    """
    message = pickle.dumps(kernel)
    stranger = os.urandom(16).hex().encode()
    assert message.count(kernel.identity.encode()) > 0
    found = pickle.loads(message.replace(kernel.identity.encode(), stranger))
    assert found is not kernel
    if not may_compile:
        found._made_dispatcher = _refuse
    return found


def by_both_roads(kernel: sh.Kernel, *arguments: Any) -> tuple[Any, Any]:
    """Return the values by numba, and by machine code that has travelled."""
    here = kernel(*arguments)
    return here, as_received(kernel)(*arguments)


_RECEIVE = """
import pickle, sys
function, *arguments = pickle.load(sys.stdin.buffer)
found = function(*arguments)
sys.stdout.flush()
sys.stdout.buffer.write(b"\\n--result--\\n" + pickle.dumps(found))
"""


def in_fresh_python(function: Any, *arguments: Any, **environment: str) -> Any:
    """Call a function in a new interpreter; send it by cloudpickle."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RECEIVE],
        input=cloudpickle.dumps((function, *arguments)),
        capture_output=True,
        env=os.environ | {"PYTHONPATH": PYTHON_PATH} | environment,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout.partition(b"\n--result--\n")[2])


def run_script(path: Path, code: str, *options: str, **environment: str) -> str:
    """Run a program from a file, so that spawn can find it; return its output."""
    path.write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": PYTHON_PATH} | environment,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
