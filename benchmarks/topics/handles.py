"""Handles: pickle a view, and unpickle it where the array is already mapped."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import sharray as sh

from ..harness.measuring import Contender, Effort, repeated
from ..harness.scratch import Scratch
from ..harness.tables import Table

_SMALL = "ndarray of 4 elements"
_FIRST_TIME = "anonymous, for the first time"


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure time and size of handles, with pickle's default protocol."""
    shape = (effort.nbytes // 8000, 1000)
    size = f"{effort.nbytes / 1e6:.0f} MB"
    plain = f"ndarray of {size}"
    views = _views(
        named=sh.create(scratch.ram / "field.npy", shape), anonymous=sh.zeros(shape)
    )
    # Not zeros: all their pages would be one page, which stays in the cache.
    objects = {plain: np.ones(shape), _SMALL: np.ones(4), **views}
    times = Table.measured(
        "handles",
        f"pickle and unpickle a view of an array of {size}",
        [
            *(_contender(name, one, effort.seconds) for name, one in objects.items()),
            Contender(_FIRST_TIME, _first_time),
        ],
        3 * effort.slow_rounds,  # most of them are fast
        effort,
        seconds=6.0,
    )
    sizes = Table(
        "handle sizes",
        "size of that pickle",
        {name: (float(len(pickle.dumps(value))),) for name, value in objects.items()},
        "B",
    )
    for name in views:
        times.demand(name, 1.3, times=_SMALL)
        sizes.demand(name, 300)
    first, *others = views
    times.compare(
        f"pickle and unpickle an array of {size}",
        first,
        group="handles",
        floors=(_SMALL,),
        without=(*others, _FIRST_TIME),
    )
    yield times
    yield sizes


def _views(named: Any, anonymous: Any) -> dict[str, Any]:
    """Return contiguous views, and views whose handle needs strides as well."""
    return {
        "named, some rows": named[10:20],
        "named, every other column": named[1:, ::2],
        "anonymous, some rows": anonymous[10:20],
        "anonymous, every other column": anonymous[1:, ::2],
    }


def _contender(name: str, value: Any, seconds: float) -> Contender:
    return Contender(
        name,
        repeated(
            "loads(dumps(value))",
            seconds,
            loads=pickle.loads,
            dumps=pickle.dumps,
            value=value,
        ),
    )


def _first_time() -> float:
    """Pickle a new array, whose file gets its name only then."""
    array = sh.zeros(1000)
    start = time.perf_counter()
    pickle.loads(pickle.dumps(array))
    return time.perf_counter() - start
