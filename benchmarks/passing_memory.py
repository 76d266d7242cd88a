"""Memory: what all processes take together when arrays are passed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sharray.system import files

from .harness import Effort, Samples
from .passing_peers import OURS, PLAIN
from .passing_process import FEW, MANY, WORKERS, has_pandas
from .passing_ways import MOST
from .report import quantity
from .tables import Table

_FLAT = 1.05
_ABOVE = ", above no data"


def size(nbytes: int) -> str:
    """A number of bytes, for people."""
    return "1 GB" if nbytes == MOST else quantity(nbytes, "B")


def run(effort: Effort, full: bool) -> Iterator[Table]:
    """Measure both."""
    yield _memory_of_workers(effort, full)
    yield _memory_of_messages(effort)


def _memory_of_workers(effort: Effort, full: bool) -> Table:
    """As multiples of the data, in processes that do nothing else."""
    nbytes = MOST if full else effort.nbytes
    while nbytes > effort.nbytes and (files.available_memory() or 0) < 10 * nbytes:
        nbytes //= 2
    ways = {PLAIN: "plain", OURS: "install", "sh.share": "share"}
    if not full:
        del ways[OURS]
    what = "a DataFrame" if has_pandas() else "an array (pandas is not installed)"
    found = {name: _measure(how, nbytes) for name, how in ways.items()}
    shared = found["sh.share"]
    samples: dict[str, Samples | None] = {
        "the data": (1.0,),
        f"{WORKERS + 1} processes, no data": (shared["bare"] / shared["data"],),
    }
    for name, one in found.items():
        samples[name] = (one["all"] / one["data"],)
        samples[name + _ABOVE] = ((one["all"] - one["bare"]) / one["data"],)
    table = Table(
        "memory of workers",
        f"memory of all processes, as multiples of {what} of {size(nbytes)} that "
        f"{WORKERS} workers have, and have read",
        samples,
        "x",
    )
    table.demand("sh.share" + _ABOVE, 1.1)
    return table


def _memory_of_messages(effort: Effort) -> Table:
    found = _measure("messages", effort.nbytes // 10)
    names = {"files": "files in RAM", "all": "all processes"}
    table = Table(
        "memory of messages",
        "memory after some messages and after many more, of four sizes in turn, each "
        "of which comes back",
        {
            _after(name, number): (float(found[f"{key} {number}"]),)
            for key, name in names.items()
            for number in (FEW, MANY)
        },
        "B",
    )
    for name in names.values():
        table.demand(_after(name, MANY), _FLAT, times=_after(name, FEW))
    return table


def _after(name: str, number: int) -> str:
    return f"{name}, after {number}"


def _measure(how: str, nbytes: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.passing_process", how, str(nbytes)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found
