"""Memory of all processes together when a DataFrame is passed to workers."""

from __future__ import annotations

import json

from sharray.system import limits

from ..harness.children import output_of
from ..harness.measuring import Effort, Samples
from ..harness.quantities import quantity
from ..harness.tables import Table
from .contenders import OURS, PLAIN
from .memory_process import WORKERS, has_pandas

_LARGE = 250_000_000
_DATA = "the data"
_SHARED = "sh.share"
_ABOVE = ", without the processes"


def size(nbytes: int) -> str:
    """Return a number of bytes, for people."""
    return quantity(nbytes, "B")


def memory_table(effort: Effort, full: bool) -> Table:
    """Measure memory as multiples of the data, in processes that do nothing else."""
    nbytes = _LARGE if full else effort.nbytes
    while nbytes > effort.nbytes and (limits.available_memory() or 0) < 10 * nbytes:
        nbytes //= 2
    ways = {PLAIN: "plain", OURS: "install", _SHARED: "share"}
    if not full:
        del ways[OURS]
    what = "a DataFrame" if has_pandas() else "an array (pandas is not installed)"
    found = {name: _measure(how, nbytes) for name, how in ways.items()}
    shared = found[_SHARED]
    bare = f"{WORKERS + 1} processes without data"
    samples: dict[str, Samples | None] = {
        _DATA: (1.0,),
        bare: (shared["bare"] / shared["data"],),
    }
    for name, one in found.items():
        samples[name] = (one["all"] / one["data"],)
        samples[name + _ABOVE] = ((one["all"] - one["bare"]) / one["data"],)
    table = Table(
        "memory of workers",
        f"memory of all processes when {WORKERS} workers have read {what} of "
        f"{size(nbytes)}, as a multiple of its size",
        samples,
        "x",
    )
    table.demand(_SHARED + _ABOVE, 1.1)
    above = [name for name in samples if name.endswith(_ABOVE)]
    table.compare(
        f"memory when {WORKERS} workers read the same {size(nbytes)}, in array sizes",
        _SHARED,
        group="memory",
        floors=(_DATA,),
        without=(bare, OURS, *above),
    )
    return table


def _measure(how: str, nbytes: int) -> dict[str, int]:
    found: dict[str, int] = json.loads(
        output_of("passing.memory_process", how, str(nbytes))
    )
    return found
