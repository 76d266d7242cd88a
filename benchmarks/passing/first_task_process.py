"""A process that starts a worker and prints the processor time of its first task.

``python -m benchmarks.passing.first_task_process HOW`` does it without sharray
(``plain``), with it for a task without arrays (``install``), or with an ``array``.
Workers import this module: it must not import NumPy.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from typing import Any

from ..harness.children import stoppable


def _processor_time(argument: Any) -> float:
    return time.process_time()


def main(how: str) -> None:
    """Print the seconds."""
    argument: Any = None
    if how != "plain":
        import sharray

        sharray.install()
    if how == "array":
        import numpy

        argument = numpy.zeros(125_000)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(json.dumps(pool.apply(_processor_time, (argument,))))
        pool.close()
        pool.join()


if __name__ == "__main__":
    with stoppable():
        main(*sys.argv[1:])
