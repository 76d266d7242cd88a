"""A process with less memory than its array: read it, or change it and flush.

``python -m benchmarks.topics.larger_process GROUP FILE WAY`` joins a control group and
prints seconds, bytes read, and the sum of the array, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh

from ..harness import groups

DD = "dd bs=1M"
# Options of the run, and by how many bytes a row of the file is cut.
READS: dict[str, dict[str, Any]] = {
    "rows": {},
    "rows, static": {"schedule": "static"},
    "columns, static": {"schedule": "static", "axis": 1},
}
CHANGE = "change and flush"


@sh.kernel
def _sum(x: Any) -> float:
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            total += x[i, j]
    return total


@sh.kernel
def _add_one(x: Any) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] += 1


def main(group: Path, path: str, way: str) -> None:
    """Measure one way."""
    _drop_from_cache(path)
    if way == DD:
        groups.join(group, os.getpid())
        command = ["dd", f"if={path}", "of=/dev/null", "bs=1M"]
        found = _timed(
            lambda: subprocess.run(command, check=True, capture_output=True), []
        )
    else:
        found = _on_team(group, path, way)
    print(json.dumps(found))


def _on_team(group: Path, path: str, way: str) -> dict[str, float]:
    array = sh.open(path, mode="r+" if way == CHANGE else "r")
    options = READS.get(way, {})

    def run(x: Any) -> Any:
        if way == CHANGE:
            team.run(_add_one, x)
            return x.flush()
        return team.run(_sum, x, reduce="sum", **options)

    with sh.Team() as team:
        run(sh.zeros((64, array.shape[1])))  # compiles, and maps code
        members = [os.getpid(), *team.pids()]
        groups.join(group, *members)
        return _timed(lambda: run(array), members)


def _drop_from_cache(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _timed(action: Callable[[], Any], members: list[int]) -> dict[str, float]:
    before = sum(map(_bytes_read, members))
    start = time.perf_counter()
    result = action()
    seconds = time.perf_counter() - start
    read = sum(map(_bytes_read, members)) - before
    total = float(result) if isinstance(result, (float, np.floating)) else 0.0
    return {"seconds": seconds, "bytes_read": read, "sum": total}


def _bytes_read(pid: int) -> int:
    """Return the bytes that a process has had read from disks: proc(5), io."""
    table = Path(f"/proc/{pid}/io").read_text()
    return int(table.partition("\nread_bytes: ")[2].split()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
