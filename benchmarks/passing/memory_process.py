"""A process that measures the memory of itself and all that it has started.

``python -m benchmarks.passing.memory_process HOW NBYTES`` sends a DataFrame of NBYTES
to four workers, which read and keep all of it, and prints bytes as JSON. HOW is
``plain``, ``install`` or ``share``.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh

from ..harness.children import stoppable

WORKERS = 4
_COLUMNS = 10

_together: Any = None
_kept: Any = None


def _start(barrier: Any) -> None:
    global _together
    _together = barrier


def _keep(frame: Any) -> float:
    """Read all of it; not before every worker has one."""
    global _kept
    _kept = frame
    total = float(np.asarray(frame).sum())
    _together.wait()
    return total


def _nothing() -> None:
    _together.wait()


def has_pandas() -> bool:
    """Whether there can be a DataFrame."""
    return importlib.util.find_spec("pandas") is not None


def workers(how: str, nbytes: int) -> dict[str, int]:
    """Measure the memory of all processes without a frame, and with it."""
    # None if not installed; an array is sent then.
    pandas = importlib.import_module("pandas") if has_pandas() else None
    if how != "plain":
        sh.install()
    barrier = multiprocessing.Barrier(WORKERS)
    with multiprocessing.Pool(WORKERS, _start, (barrier,)) as pool:
        _wait([pool.apply_async(_nothing) for _ in range(WORKERS)])
        bare = memory_of_all()
        rows = nbytes // 8 // _COLUMNS
        frame: Any = np.arange(rows * _COLUMNS, dtype=float).reshape(rows, -1)
        data, expected = frame.nbytes, float(frame.sum())
        frame = pandas.DataFrame(frame) if pandas else frame
        if how == "share":
            frame = sh.share(frame)
        found = _wait([pool.apply_async(_keep, (frame,)) for _ in range(WORKERS)])
        if found != [expected] * WORKERS:
            raise RuntimeError("the workers have read something else")
        whole = memory_of_all()
        pool.close()
        pool.join()
    return {"data": data, "bare": bare, "all": whole}


def _wait(results: list[Any]) -> list[Any]:
    return [result.get() for result in results]


def memory_of_all() -> int:
    """Each page once, mapped or not.

    The kernel divides a page among those that map it, which adds up to one. Of files
    in RAM, some pages may be in nobody's mappings.
    """
    sizes = [_sizes_of(pid) for pid in _family()]
    whole, files = (sum(one[key] for one in sizes) for key in ("Pss", "Pss_Shmem"))
    return whole + max(0, _bytes_in_ram() - files)


def _sizes_of(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    fields = [line.split() for line in lines[1:]]
    return {key.rstrip(":"): int(value) * 1024 for key, value, *_ in fields}


def _family() -> list[int]:
    """Return the numbers of this process and of its descendants."""
    found = [os.getpid()]
    for pid in found:  # which grows
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text(encoding="utf-8")
            found += map(int, children.split())
    return found


def _bytes_in_ram() -> int:
    root = Path(os.environ["SHARRAY_RAM_DIR"])
    files = [path for path in root.rglob("*") if path.is_file()]
    return sum(path.stat().st_blocks * 512 for path in files)


def main(how: str, nbytes: str) -> None:
    """Do it, and print what was found."""
    print(json.dumps(workers(how, int(nbytes))))


if __name__ == "__main__":
    with stoppable():
        main(*sys.argv[1:])
