"""Importing: import sharray, in addition to NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from ..harness.measuring import Contender, Effort, Sample
from ..harness.scratch import Scratch
from ..harness.tables import Table

_LIMIT = 0.12
_NUMPY = "import numpy"
_OURS = "import sharray, after numpy"
# A new interpreter each time; it measures itself, so that its start is not counted.
_CODE = """
{before}
from time import perf_counter
start = perf_counter()
import {module}
print(perf_counter() - start)
"""


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure the imports; workers that needed numba would also import it."""
    table = Table.measured(
        "importing",
        "import in a new interpreter",
        [
            Contender(_NUMPY, _imported("numpy")),
            Contender(_OURS, _imported("sharray", "import numpy")),
            Contender("import numba, after numpy", _imported("numba", "import numpy")),
        ],
        effort.slow_rounds // 2,
        effort,
    )
    table.demand(_OURS, _LIMIT, times=_NUMPY)
    yield table


def _imported(module: str, before: str = "") -> Sample:
    code = _CODE.format(module=module, before=before)
    # As for an installed package, bytecode is written once and used again.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

    def sample() -> float:
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        )
        return float(done.stdout)

    return sample
