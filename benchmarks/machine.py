"""The machine: what a reader of the results needs to know of it."""

from __future__ import annotations

import os
import platform
from importlib import metadata


def describe() -> dict[str, str | int | float]:
    """Processor, system and versions, and how busy it was."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": metadata.version("numpy"),
        "numba": metadata.version("numba"),
        "sharray": metadata.version("sharray"),
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as table:
        for line in table:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()  # only x86 has that line
