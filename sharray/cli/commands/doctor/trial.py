"""The trial: a worker process runs a kernel on a new array, in RAM or in a file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh

from . import Finding, Verdict

_LENGTH = 1000


@sh.kernel
def _add_one(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += 1


def check_trial(name: str, directory: str | None = None) -> Finding:
    """Try an anonymous array in RAM, or a file in a directory, which is removed."""
    path = directory and os.path.join(directory, f".sharray-doctor-{os.getpid()}.npy")
    began = time.perf_counter()
    try:
        _try(path)
    except Exception as error:  # numba raises many types
        fault = f"{' '.join(str(error).split()).rstrip('.') or repr(error)}."
        why = "Sharing arrays with worker processes does not work."
        return Finding(name, Verdict.FAULT, fault, why)
    finally:
        if path:
            Path(path).unlink(missing_ok=True)
    took = f"{time.perf_counter() - began:.2f} s"
    found = f"A worker process ran a kernel on a new array in place ({took})."
    return Finding(name, Verdict.OK, found, "It was flushed and read back, too.")


def _try(path: str | None) -> None:
    array = sh.create(path, _LENGTH) if path else sh.zeros(_LENGTH)
    array[:] = np.arange(_LENGTH)
    with sh.Team(1, caller_works=False) as team:
        team.run(_add_one, array, timeout=60)
    array.flush()
    expected = np.arange(_LENGTH) + 1.0
    if not np.array_equal(array, expected):
        raise ValueError("this process does not see what a worker wrote")
    if path and not np.array_equal(np.load(path), expected):
        raise ValueError("after a flush, the file differs from memory")
