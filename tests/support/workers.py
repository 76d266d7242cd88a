"""Functions that the tests run in other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
from repository import PYTHON_PATH

import sharray as sh


def add(x: Any, amount: float) -> int:
    """Change an array in place; return the number of the process."""
    x += amount
    return os.getpid()


def describe(x: Any) -> tuple[Any, ...]:
    """Return the description of a received array."""
    return type(x).__name__, x.shape, x.dtype, x.flags.writeable, np.array(x)


def make(n: int) -> sh.SharedArray[Any, Any]:
    """Return an array that only its receiver holds."""
    return sh.full(n, 7.0)


def send_back(x: Any) -> Any:
    """Return a view of a received array."""
    return x[1:]


def from_queue(source: Any, target: Any) -> None:
    """Add one to each array from a queue, until None arrives."""
    while (x := source.get()) is not None:
        x += 1
        target.put(x[::2])
    target.close()
    target.join_thread()


def start_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a new interpreter, with any exit status."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": PYTHON_PATH},
        timeout=500,
        check=False,
    )


def run_python(code: str) -> str:
    """Run a program that must succeed; return its output."""
    done = start_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    return done.stdout


def dtypes_of(arrays: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return all attributes of each array's dtype, and the arrays."""
    return [whole(a.dtype) for a in arrays], arrays


def whole(dtype: np.dtype[Any]) -> Any:
    """Return all attributes of a dtype, even those that equality ignores."""
    own = (
        dtype.char,
        dtype.num,
        dtype.type,
        dtype.str,
        dtype.itemsize,
        dict(dtype.metadata or {}),
    )
    fields = dtype.fields or {}
    return *own, dtype.isalignedstruct, dtype.names, [
        (name, whole(field[0]), *field[1:]) for name, field in fields.items()
    ], dtype.subdtype and (whole(dtype.subdtype[0]), dtype.subdtype[1])  # fmt: skip
